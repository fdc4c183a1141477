/** A safetensors reader that trusts nothing in the header. */

import type { DType, TensorSpec } from "../generated/schema";

/** A file that cannot be used; the message is written for the person who opened it. */
export class FileError extends Error {
  override readonly name = "FileError";
}

export type TensorData = Float32Array | Uint8Array | Int16Array | Uint16Array | Uint32Array;

export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** F16 stays as its bits in a Uint16Array. */
  readonly data: TensorData;
}

export interface TensorFile {
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The JSON string under `__metadata__.meta`, parsed. */
  readonly meta: unknown;
  /** Values of the symbols in the specs' shapes. */
  readonly sizes: ReadonlyMap<string, number>;
}

interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

const MAX_HEADER_BYTES = 1 << 20;
const MAX_TENSORS = 256;
const MAX_DIMENSIONS = 6;
const ITEM_BYTES: Readonly<Record<DType, number>> = { F32: 4, F16: 2, U8: 1, I16: 2, U16: 2, U32: 4 };

/** Read a file and hold it to a schema: names, dtypes, and shapes whose symbols must agree. */
export function readTensorFile(buffer: ArrayBuffer, specs: readonly TensorSpec[]): TensorFile {
  const { header, dataStart } = readHeader(buffer);
  const entries = readEntries(header, buffer.byteLength - dataStart);
  const tensors = new Map<string, Tensor>();
  const sizes = new Map<string, number>();
  const wanted = new Map(specs.map((s) => [s.name, s]));
  for (const entry of entries) {
    const spec = wanted.get(entry.name);
    if (!spec) continue; // a newer writer may add tensors
    checkSpec(entry, spec, sizes);
    tensors.set(entry.name, view(buffer, dataStart, entry));
  }
  for (const spec of specs) {
    if (!spec.optional && !tensors.has(spec.name))
      throw new FileError(`The file is incomplete: ${spec.name} is missing.`);
  }
  return { tensors, meta: readMeta(header), sizes };
}

function readHeader(buffer: ArrayBuffer): { header: Record<string, unknown>; dataStart: number } {
  if (buffer.byteLength < 8) throw new FileError("The file is too short to be a safetensors file.");
  const length = new DataView(buffer).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES))
    throw new FileError(`The file's header claims ${length} bytes; this is not an avatar or motion file.`);
  const size = Number(length);
  if (8 + size > buffer.byteLength)
    throw new FileError("The file ends inside its header; it may be cut off.");
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(buffer, 8, size)));
  } catch {
    throw new FileError("The file's header is not readable JSON; this is not an avatar or motion file.");
  }
  if (!isRecord(header)) throw new FileError("The file's header is not a JSON object.");
  return { header, dataStart: 8 + size };
}

function readEntries(header: Record<string, unknown>, dataBytes: number): Entry[] {
  const names = Object.keys(header).filter((n) => n !== "__metadata__");
  if (names.length > MAX_TENSORS)
    throw new FileError(`The file lists ${names.length} tensors, more than ${MAX_TENSORS}.`);
  const entries = names
    .map((name) => readEntry(name, header[name], dataBytes))
    .filter((e): e is Entry => e !== null);
  const ordered = entries.filter((e) => e.end > e.begin).sort((a, b) => a.begin - b.begin);
  for (let i = 1; i < ordered.length; i++) {
    if (ordered[i].begin < ordered[i - 1].end)
      throw new FileError(`${ordered[i].name} overlaps ${ordered[i - 1].name} in the file.`);
  }
  return entries;
}

/** null for a dtype this program never uses; such tensors are passed over. */
function readEntry(name: string, value: unknown, dataBytes: number): Entry | null {
  if (!isRecord(value)) throw new FileError(`${name} has no readable description.`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw new FileError(`${name} has no dtype.`);
  if (!Object.hasOwn(ITEM_BYTES, dtype)) return null;
  if (!isCounts(shape) || shape.length > MAX_DIMENSIONS)
    throw new FileError(`${name} has an impossible shape.`);
  if (!isCounts(offsets) || offsets.length !== 2) throw new FileError(`${name} has impossible offsets.`);
  const [begin, end] = offsets;
  if (begin > end || end > dataBytes)
    throw new FileError(`${name} reaches past the end of the file; it may be cut off.`);
  const bytes = shape.reduce((a, b) => a * b, 1) * ITEM_BYTES[dtype as DType];
  if (bytes !== end - begin)
    throw new FileError(`${name} of shape ${shape.join("×")} cannot fill ${end - begin} bytes.`);
  return { name, dtype: dtype as DType, shape, begin, end };
}

function checkSpec(entry: Entry, spec: TensorSpec, sizes: Map<string, number>): void {
  if (!spec.dtypes.includes(entry.dtype))
    throw new FileError(`${spec.name} is ${entry.dtype}, expected ${spec.dtypes.join(" or ")}.`);
  const fits =
    entry.shape.length === spec.shape.length &&
    spec.shape.every((want, i) => {
      if (typeof want === "number") return entry.shape[i] === want;
      const known = sizes.get(want);
      if (known === undefined) sizes.set(want, entry.shape[i]);
      return known === undefined || known === entry.shape[i];
    });
  if (!fits) {
    const expected = spec.shape.map((s) => (typeof s === "number" ? s : (sizes.get(s) ?? s))).join("×");
    throw new FileError(`${spec.name} has shape ${entry.shape.join("×")}, expected ${expected}.`);
  }
}

function view(buffer: ArrayBuffer, dataStart: number, entry: Entry): Tensor {
  const size = ITEM_BYTES[entry.dtype];
  let start = dataStart + entry.begin;
  let source = buffer;
  if (start % size !== 0) {
    source = buffer.slice(start, dataStart + entry.end); // typed arrays need alignment
    start = 0;
  }
  const count = (entry.end - entry.begin) / size;
  return { dtype: entry.dtype, shape: entry.shape, data: typedArray(entry.dtype, source, start, count) };
}

function typedArray(dtype: DType, buffer: ArrayBuffer, start: number, count: number): TensorData {
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer, start, count);
    case "U8":
      return new Uint8Array(buffer, start, count);
    case "I16":
      return new Int16Array(buffer, start, count);
    case "U32":
      return new Uint32Array(buffer, start, count);
    case "F16":
    case "U16":
      return new Uint16Array(buffer, start, count);
  }
}

function readMeta(header: Record<string, unknown>): unknown {
  const metadata = header["__metadata__"];
  if (!isRecord(metadata) || typeof metadata["meta"] !== "string")
    throw new FileError("The file has no description; it is no pear-avatar viewer file.");
  try {
    return JSON.parse(metadata["meta"]);
  } catch {
    throw new FileError("The file's description is not readable JSON.");
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}
