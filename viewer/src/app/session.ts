/** Where avatars, motions and videos come from: the server beside this page, or the page itself. */

import type { Session, SessionAvatar } from "../generated/schema";
import { FileError, isRecord } from "../io/safetensors";

const SESSION_ELEMENT = "pear-session";
const EMBEDDED = "embedded:";

export type Progress = (share: number) => void;

export async function loadSession(): Promise<Session> {
  const embedded = document.getElementById(SESSION_ELEMENT)?.textContent;
  if (embedded) return readSession(JSON.parse(embedded));
  const response = await fetch("api/session").catch(() => null);
  if (!response) throw new FileError("The server does not answer. Is pear-avatar view still running?");
  if (!response.ok) throw new FileError(await errorOf(response));
  return readSession(await response.json());
}

function readSession(value: unknown): Session {
  if (!isRecord(value) || !Array.isArray(value["avatars"]))
    throw new FileError("The list of avatars could not be read.");
  const session = value as unknown as Session;
  if (session.version !== 1)
    throw new FileError(`This page reads session version 1, found ${String(session.version)}.`);
  return session;
}

/** The bytes behind a session URL. */
export async function loadBytes(
  url: string,
  expected = 0,
  progress: Progress = () => undefined,
): Promise<ArrayBuffer> {
  if (url.startsWith(EMBEDDED)) return (await embeddedBlob(url)).arrayBuffer();
  const response = await fetch(url).catch(() => null);
  if (!response) throw new FileError("The server does not answer. Is pear-avatar view still running?");
  if (!response.ok) throw new FileError(await errorOf(response));
  const total = Number(response.headers.get("X-Uncompressed-Length")) || expected;
  return readAll(response, total, progress);
}

async function readAll(response: Response, total: number, progress: Progress): Promise<ArrayBuffer> {
  if (!response.body) return response.arrayBuffer();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let received = 0;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    received += part.value.length;
    if (total > 0) progress(Math.min(received / total, 1));
  }
  return new Blob(parts).arrayBuffer();
}

/** A URL that a media element can play. */
export async function mediaUrl(url: string): Promise<string> {
  return url.startsWith(EMBEDDED) ? URL.createObjectURL(await embeddedBlob(url)) : url;
}

async function embeddedBlob(url: string): Promise<Blob> {
  const element = document.getElementById(url.slice(EMBEDDED.length));
  const text = element?.textContent?.trim();
  if (!element || !text) throw new FileError("A part of this file is missing; it may be cut off.");
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    throw new FileError("A part of this file is damaged.");
  }
  const blob = new Blob([bytes], { type: element.dataset["mime"] ?? "application/octet-stream" });
  if (element.dataset["encoding"] !== "gzip") return blob;
  try {
    return await new Response(blob.stream().pipeThrough(new DecompressionStream("gzip"))).blob();
  } catch {
    throw new FileError("A part of this file is damaged.");
  }
}

/** Have the server turn a pose file into a motion file. */
export async function convertMotion(
  session: Session,
  avatar: SessionAvatar,
  file: File,
): Promise<ArrayBuffer> {
  if (!session.convert)
    throw new FileError(
      `${file.name} needs pear-avatar view: open the avatar with it, or convert the file to .pmo first.`,
    );
  if (session.max_upload_bytes > 0 && file.size > session.max_upload_bytes) {
    throw new FileError(`${file.name} is larger than ${Math.floor(session.max_upload_bytes / 2 ** 20)} MB.`);
  }
  const query = new URLSearchParams({ name: file.name, avatar: avatar.id });
  const response = await fetch(`${session.convert}?${query}`, { method: "POST", body: file }).catch(
    () => null,
  );
  if (!response) throw new FileError("The server does not answer. Is pear-avatar view still running?");
  if (!response.ok) throw new FileError(await errorOf(response));
  return response.arrayBuffer();
}

async function errorOf(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => null);
  return isRecord(body) && typeof body["error"] === "string"
    ? body["error"]
    : `The server answered ${response.status}.`;
}
