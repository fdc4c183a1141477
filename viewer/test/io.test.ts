import { describe, expect, it } from "vitest";
import { readAvatar } from "../src/io/avatar";
import { halfToNumber, numberToHalf } from "../src/io/half";
import { readMotion } from "../src/io/motion";
import { FileError } from "../src/io/safetensors";
import { avatarFile, avatarMeta, avatarTensors, motionFile, tensorFile } from "./files";

const spoiled = (patch: (header: Record<string, Record<string, unknown>>) => void): ArrayBuffer =>
  tensorFile(avatarTensors(), avatarMeta(), patch as (h: Record<string, unknown>) => void);

describe("an avatar file", () => {
  it("is read with its sizes and names", () => {
    const avatar = readAvatar(avatarFile());
    expect(avatar.splats.count).toBe(10);
    expect([avatar.expressionCount, avatar.shapeCount, avatar.rig.influences]).toEqual([2, 1, 2]);
    expect(avatar.rig.headDescendant[22]).toBe(true);
    expect(avatar.rig.headDescendant[12]).toBe(false);
    expect(avatar.rig.headWeight[0]).toBeCloseTo(1, 6);
    expect(avatar.meta.info).toEqual({ source: "test.mp4" });
  });

  it("may leave the shapes out", () => {
    const avatar = readAvatar(
      avatarFile((t, meta) => {
        for (const key of ["shape.deltas", "shape.scales", "shape.joints"]) delete t[key];
        meta["shape_names"] = [];
      }),
    );
    expect(avatar.shapeCount).toBe(0);
  });

  it("may hold tensors of the future, of dtypes of the future", () => {
    const file = tensorFile(
      { ...avatarTensors(), "new.thing": { dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 3) } },
      avatarMeta(),
      (h) => {
        (h["new.thing"] as Record<string, unknown>)["dtype"] = "F8_E5M2";
      },
    );
    expect(readAvatar(file).splats.count).toBe(10);
  });

  const hostile: [string, () => ArrayBuffer, RegExp][] = [
    ["nothing", () => new ArrayBuffer(0), /too short/],
    ["eight bytes", () => new ArrayBuffer(8), /JSON/],
    [
      "a header of 2^60 bytes",
      () => {
        const b = new ArrayBuffer(64);
        new DataView(b).setBigUint64(0, 1n << 60n, true);
        return b;
      },
      /header claims/,
    ],
    [
      "a header longer than the file",
      () => {
        const b = new ArrayBuffer(64);
        new DataView(b).setBigUint64(0, 1000n, true);
        return b;
      },
      /inside its header/,
    ],
    [
      "random bytes",
      () => {
        const b = new Uint8Array(4096).map((_, i) => (i * 7919) & 255);
        new DataView(b.buffer).setBigUint64(0, 512n, true);
        return b.buffer;
      },
      /JSON/,
    ],
    ["a cut end", () => avatarFile().slice(0, -100), /cut off/],
    [
      "a header that is a list",
      () => {
        const t = new TextEncoder().encode("[1,2,3] ");
        const b = new Uint8Array(16);
        new DataView(b.buffer).setBigUint64(0, 8n, true);
        b.set(t, 8);
        return b.buffer;
      },
      /not a JSON object/,
    ],
    [
      "negative offsets",
      () =>
        spoiled((h) => {
          h["splat.rgba"]["data_offsets"] = [-4, 36];
        }),
      /impossible offsets/,
    ],
    [
      "offsets that are no numbers",
      () =>
        spoiled((h) => {
          h["splat.rgba"]["data_offsets"] = ["0", "40"];
        }),
      /impossible offsets/,
    ],
    [
      "offsets past the end",
      () =>
        spoiled((h) => {
          h["splat.rgba"]["data_offsets"] = [0, 1e15];
        }),
      /past the end/,
    ],
    [
      "a shape that overflows",
      () =>
        spoiled((h) => {
          h["splat.rgba"]["shape"] = [2 ** 53 - 1, 2 ** 53 - 1];
        }),
      /cannot fill/,
    ],
    [
      "a fractional shape",
      () =>
        spoiled((h) => {
          h["splat.rgba"]["shape"] = [2.5, 4];
        }),
      /impossible shape/,
    ],
    [
      "overlapping tensors",
      () =>
        spoiled((h) => {
          h["splat.quats"]["data_offsets"] = h["splat.scales"]["data_offsets"];
          h["splat.quats"]["shape"] = [10, 3];
          h["splat.quats"]["dtype"] = "F16";
        }),
      /overlaps|expected/,
    ],
    [
      "no description",
      () =>
        tensorFile(avatarTensors(), avatarMeta(), (h) => {
          delete h["__metadata__"];
        }),
      /no description/,
    ],
    [
      "another format",
      () =>
        avatarFile((_, meta) => {
          meta["format"] = "cat-pictures";
        }),
      /not an avatar/,
    ],
    [
      "a newer version",
      () =>
        avatarFile((_, meta) => {
          meta["version"] = 99;
        }),
      /version 99/,
    ],
    [
      "parents in a ring",
      () =>
        avatarFile((_, meta) => {
          meta["parents"] = Array(55).fill(54);
        }),
      /incomplete/,
    ],
    [
      "a missing tensor",
      () =>
        avatarFile((t) => {
          delete t["splat.face"];
        }),
      /splat.face is missing/,
    ],
    [
      "a wrong dtype",
      () =>
        avatarFile((t) => {
          t["splat.quats"] = { ...t["splat.quats"], dtype: "U16" };
        }),
      /splat.quats is U16/,
    ],
    [
      "shapes that disagree",
      () =>
        avatarFile((t) => {
          t["splat.rgba"] = { dtype: "U8", shape: [9, 4], data: new Uint8Array(36) };
        }),
      /splat.rgba has shape 9×4/,
    ],
    [
      "a face past the vertices",
      () =>
        avatarFile((t) => {
          t["template.faces"] = { dtype: "U16", shape: [6, 3], data: new Uint16Array(18).fill(99) };
        }),
      /template.faces points at 99/,
    ],
    [
      "a splat past the faces",
      () =>
        avatarFile((t) => {
          t["splat.face"] = { dtype: "U16", shape: [10], data: new Uint16Array(10).fill(6) };
        }),
      /splat.face points at 6/,
    ],
    [
      "a joint past the last",
      () =>
        avatarFile((t) => {
          t["template.skin_joints"] = { dtype: "U8", shape: [8, 2], data: new Uint8Array(16).fill(55) };
        }),
      /skin_joints points at 55/,
    ],
    [
      "NaN vertices",
      () =>
        avatarFile((t) => {
          t["template.vertices"] = { dtype: "F32", shape: [8, 3], data: new Float32Array(24).fill(NaN) };
        }),
      /not finite/,
    ],
  ];
  it.each(hostile)("with %s is refused with a message", (_, make, message) => {
    expect(() => readAvatar(make())).toThrowError(FileError);
    expect(() => readAvatar(make())).toThrowError(message);
  });

  it("survives any single flipped byte of its header", () => {
    const file = avatarFile();
    const length = Number(new DataView(file).getBigUint64(0, true));
    for (let i = 0; i < 8 + length; i += 3) {
      const bytes = new Uint8Array(file.slice(0));
      bytes[i] ^= 1 + ((i * 31) % 255);
      try {
        readAvatar(bytes.buffer);
      } catch (error) {
        expect(error).toBeInstanceOf(FileError);
      }
    }
  });
});

describe("a motion file", () => {
  it("is read with its times", () => {
    const motion = readMotion(motionFile());
    expect([motion.frames, motion.fps, motion.name]).toEqual([4, 10, "Walk"]);
    expect(motion.duration).toBeCloseTo(0.4, 5);
    expect(motion.camera).toBeNull();
    expect(readMotion(motionFile(), "Mine").name).toBe("Mine");
  });

  const bad: [string, Parameters<typeof motionFile>[0], RegExp][] = [
    [
      "times that stand still",
      (t) => {
        t["time"] = { dtype: "F32", shape: [4], data: new Float32Array(4) };
      },
      /does not come after/,
    ],
    [
      "a start that is not zero",
      (t) => {
        t["time"] = { dtype: "F32", shape: [4], data: Float32Array.of(1, 2, 3, 4) };
      },
      /time 0/,
    ],
    [
      "rotations of no length",
      (t) => {
        t["rotations"] = { dtype: "F32", shape: [4, 55, 4], data: new Float32Array(880) };
      },
      /rotation that is none/,
    ],
    [
      "54 joints",
      (t) => {
        t["rotations"] = { dtype: "F32", shape: [4, 54, 4], data: new Float32Array(864) };
      },
      /expected 4×55×4/,
    ],
    [
      "no frames",
      (t) => {
        for (const [k, s] of [
          ["rotations", [0, 55, 4]],
          ["transl", [0, 3]],
          ["time", [0]],
          ["video_time", [0]],
        ] as const)
          t[k] = { dtype: "F32", shape: s, data: new Float32Array(0) };
      },
      /no frames/,
    ],
    [
      "another format",
      (_, meta) => {
        meta["format"] = "pear-avatar-view";
      },
      /not a motion/,
    ],
  ];
  it.each(bad)("with %s is refused", (_, change, message) => {
    expect(() => readMotion(motionFile(change))).toThrowError(message);
  });
});

describe("half floats", () => {
  it("come back as they were, for every finite bit pattern", () => {
    for (let h = 0; h < 0x10000; h++) {
      const x = halfToNumber(h);
      if (Number.isFinite(x)) expect(numberToHalf(x)).toBe(h);
    }
  });

  it("round to the nearest", () => {
    expect(halfToNumber(numberToHalf(1 + 1 / 4096))).toBe(1);
    expect(halfToNumber(numberToHalf(1 + 3 / 4096))).toBe(1 + 1 / 1024);
    expect(halfToNumber(numberToHalf(1e9))).toBe(65504);
    expect(halfToNumber(numberToHalf(2 ** -24))).toBe(2 ** -24);
  });
});
