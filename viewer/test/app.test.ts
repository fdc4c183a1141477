import { describe, expect, it } from "vitest";
import { composePose } from "../src/app/compose";
import { PoseEdits } from "../src/app/edits";
import { History } from "../src/app/history";
import { EXPRESSIONS } from "../src/app/presets";
import { readHash, writeHash } from "../src/app/hash";
import { DEFAULT_SETTINGS, solidBackground } from "../src/app/settings";
import { SliderBank, sliderSpecs } from "../src/app/sliders";
import { DEFAULT_ORBIT, orbitBy, orbitView, panBy, zoomAt, zoomBy } from "../src/camera/orbit";
import { directionToWorld, fitted, forward, project, toCamera } from "../src/camera/view";
import { readAvatar } from "../src/io/avatar";
import { readMotion } from "../src/io/motion";
import { Player } from "../src/motion/player";
import { frameAt, frameAtVideoTime, restSample, sampleMotion } from "../src/motion/sample";
import { fromAxisAngle } from "../src/rig/quaternion";
import { unpremultiply, fileName } from "../src/record/picture";
import { avatarFile, motionFile } from "./files";

/** Facial actions without their side. */
const ARKIT = [
  "browDown",
  "browInnerUp",
  "browOuterUp",
  "cheekPuff",
  "cheekSquint",
  "eyeBlink",
  "eyeSquint",
  "eyeWide",
  "jawOpen",
  "mouthFrown",
  "mouthFunnel",
  "mouthPress",
  "mouthPucker",
  "mouthShrugLower",
  "mouthSmile",
  "noseSneer",
];
const avatar = readAvatar(avatarFile());
const motion = readMotion(motionFile());

describe("a camera", () => {
  it("zooms to the pointer: what lies under it stays there", () => {
    const state = { ...DEFAULT_ORBIT, yaw: 0.4, pitch: 0.2 };
    const point = panBy(state, 0.3, -0.2).target;
    const at = (s: typeof state) => project(orbitView(s, 640, 480), point);
    const [before, after] = [at(state), at(zoomAt(state, 0.5, 0.3, -0.2))];
    expect([after.x, after.y]).toEqual([expect.closeTo(before.x, 6), expect.closeTo(before.y, 6)]);
    expect(after.z).toBeCloseTo(before.z / 2, 6);
  });

  it("orbits with its target in the middle of the picture", () => {
    const state = panBy(
      zoomBy(orbitBy({ ...DEFAULT_ORBIT, target: [0.3, -1, 2] }, 1.1, 0.4), 0.7),
      0.1,
      -0.2,
    );
    const view = orbitView(state, 640, 480);
    const p = project(view, state.target);
    expect([p.x, p.y]).toEqual([expect.closeTo(320, 6), expect.closeTo(240, 6)]);
    expect(p.z).toBeCloseTo(state.distance, 6);
    const back = directionToWorld(
      view,
      toCamera({ ...view, T: Array.from(view.T).map((x, i) => (i % 4 === 3 ? 0 : x)) }, [1, 2, 3]),
    );
    back.forEach((x, k) => expect(x).toBeCloseTo(k + 1, 6));
  });

  it("looks from the front along -z, y down in the picture", () => {
    const view = orbitView({ ...DEFAULT_ORBIT, yaw: 0, pitch: 0 }, 100, 100);
    forward(view).forEach((x, k) => expect(x).toBeCloseTo([0, 0, -1][k], 9));
    expect(project(view, [0, 0.5, 0]).y).toBeLessThan(50);
    expect(project(view, [0.5, 0, 0]).x).toBeGreaterThan(50);
  });

  it("of a clip is letterboxed, its middle staying in the middle", () => {
    const clip = {
      width: 200,
      height: 100,
      fx: 300,
      fy: 300,
      cx: 100,
      cy: 50,
      T: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
    };
    const view = fitted(clip, 100, 100);
    expect([view.fx, view.cx, view.cy]).toEqual([150, 50, 50]);
  });
});

describe("an address", () => {
  const settings = {
    ...DEFAULT_SETTINGS,
    background: "#112233",
    mesh: "wire" as const,
    skeleton: true,
    floor: false,
    compare: "wipe" as const,
    camera: "clip" as const,
  };
  const view = {
    avatar: "ann",
    motion: 1,
    frame: 42,
    orbit: { ...DEFAULT_ORBIT, yaw: -1.25, target: [0.1, 0.2, -0.3] as const },
    sliders: new Map([
      ["arkit:jawOpen", 0.75],
      ["shape:0", -1.5],
    ]),
    edits: { turns: new Map([[16, fromAxisAngle([0, 0, 1], 0.5)]]), shift: [0, 0.1, 0] as const },
    settings,
  };

  it("brings back what it was given", () => {
    const back = readHash(`#${writeHash(view, DEFAULT_SETTINGS)}`);
    expect(back.avatar).toBe("ann");
    expect([back.motion, back.frame]).toEqual([1, 42]);
    expect(back.orbit?.target[2]).toBeCloseTo(-0.3, 4);
    expect(back.sliders).toEqual(view.sliders);
    back.edits?.turns.get(16)?.forEach((x, i) => expect(x).toBeCloseTo(fromAxisAngle([0, 0, 1], 0.5)[i], 3));
    expect(back.edits?.shift).toEqual([0, 0.1, 0]);
    expect(back.settings).toEqual({
      background: "#112233",
      mesh: "wire",
      skeleton: true,
      floor: false,
      compare: "wipe",
      camera: "clip",
    });
  });

  it("of nonsense says nothing", () => {
    const back = readHash(
      "#m=x&f=1e9&c=1,2&s=a,b=,=3&p=99=1/0/0/0,1=a/b&t=NaN,0,0&background=javascript:1&mesh=cube&compare=",
    );
    expect(back).toEqual({ settings: {} });
  });

  it("writes nothing that stands at its default", () => {
    const plain = writeHash(
      {
        ...view,
        sliders: new Map(),
        edits: { turns: new Map(), shift: [0, 0, 0] },
        settings: DEFAULT_SETTINGS,
      },
      DEFAULT_SETTINGS,
    );
    expect([...new URLSearchParams(plain).keys()]).toEqual(["a", "m", "f", "c"]);
  });
});

describe("sliders", () => {
  it("cover the face, the head and the shapes, and know what moved", () => {
    const bank = new SliderBank(sliderSpecs(avatar));
    expect(bank.specs.filter((s) => s.id.startsWith("arkit:"))).toHaveLength(52);
    expect(bank.specs.map((s) => s.id)).toEqual(
      expect.arrayContaining(["jaw", "eyes:x", "eyes:y", "head", "shape:0"]),
    );
    bank.set("arkit:jawOpen", 7);
    expect(bank.get("arkit:jawOpen")).toBe(1);
    bank.set("head", 1.2);
    bank.set("head", 1);
    expect([...bank.moved().keys()]).toEqual(["arkit:jawOpen"]);
    expect(() => bank.set("nose", 1)).toThrow(RangeError);
    bank.reset();
    expect(bank.moved().size).toBe(0);
  });

  it("add to the motion's own face", () => {
    const bank = new SliderBank(sliderSpecs(avatar));
    const still = composePose(avatar, restSample(), bank, new PoseEdits().get());
    expect([...still.expression]).toEqual([0, 0]);
    bank.set("arkit:jawOpen", 1);
    const open = composePose(
      avatar,
      { ...restSample(), expression: Float32Array.of(1) },
      bank,
      new PoseEdits().get(),
    );
    expect([...open.expression]).toEqual([1.5, 0.5]);
    expect(open.rotations[22 * 4 + 1]).toBeCloseTo(Math.sin(0.2), 6);
    bank.reset();
    expect(composePose(avatar, restSample(), bank, new PoseEdits().get()).rotations).toEqual(still.rotations);
  });
});

describe("undo", () => {
  it("goes back over joints, sliders and resets in one line", () => {
    const edits = new PoseEdits();
    const bank = new SliderBank(sliderSpecs(avatar));
    const history = new History(edits, bank);
    edits.begin();
    edits.turn(16, fromAxisAngle([1, 0, 0], 0.3));
    edits.turn(16, fromAxisAngle([1, 0, 0], 0.2));
    expect(edits.turnOf(16)[0]).toBeCloseTo(Math.cos(0.25), 6);
    bank.set("jaw", 0.4);
    bank.set("jaw", 0.6);
    edits.begin();
    edits.shiftBy([0, 1, 0]);
    history.group(() => {
      bank.reset();
      edits.reset();
    });
    expect([edits.edited, bank.get("jaw")]).toEqual([false, 0]);
    history.undo();
    expect([edits.get().shift[1], bank.get("jaw")]).toEqual([1, 0.6]);
    history.undo();
    expect([edits.get().shift[1], bank.get("jaw")]).toEqual([0, 0.6]);
    history.undo();
    expect([edits.edited, bank.get("jaw")]).toEqual([true, 0]);
    history.undo();
    expect([edits.edited, history.canUndo]).toEqual([false, false]);
    for (let i = 0; i < 4; i++) history.redo();
    expect([edits.edited, bank.get("jaw"), history.canRedo]).toEqual([false, 0, false]);
  });
});

describe("presets", () => {
  it("name actions of the face only", () => {
    for (const { values } of EXPRESSIONS)
      for (const name of Object.keys(values)) expect(ARKIT).toContain(name.replace(/(Left|Right)$/, ""));
  });
});

describe("time", () => {
  it("is exact on frames and even between them", () => {
    motion.time.forEach((t, i) => expect(frameAt(motion, t)).toBe(i));
    expect(frameAt(motion, 0.25)).toBeCloseTo(2.5, 5);
    expect([...sampleMotion(motion, 2).rotations]).toEqual([...motion.rotations.subarray(440, 660)]);
    expect(sampleMotion(motion, 1.5).transl[0]).toBeCloseTo(1.5, 6);
    expect(sampleMotion(motion, 1.5).rotations[0]).toBeCloseTo(Math.cos(0.15), 4);
    expect(frameAtVideoTime(motion.videoTime ?? new Float32Array(), 0.71)).toBe(2);
  });

  it("loops, goes on to the next motion, or stops", () => {
    const player = new Player();
    player.add(motion);
    player.add(motion);
    player.select(0);
    player.play();
    player.advance(0.5, "one");
    expect([player.index, player.frame]).toEqual([0, 1]);
    player.advance(0.35, "all");
    expect([player.index, player.playing]).toEqual([1, true]);
    player.advance(9, "none");
    expect([player.frame, player.playing]).toEqual([3, false]);
    player.play();
    expect(player.frame).toBe(0);
    player.seek(2);
    expect(player.position).toBe(2);
    player.select(-1);
    player.play();
    expect(player.playing).toBe(false);
  });
});

describe("pictures", () => {
  it("get their straight colours back", () => {
    expect([...unpremultiply(Uint8Array.of(50, 100, 0, 100, 9, 9, 9, 255, 3, 3, 3, 0))]).toEqual([
      128, 255, 0, 100, 9, 9, 9, 255, 3, 3, 3, 0,
    ]);
    expect(fileName("Ann's  Walk (1)", "mp4")).toBe("ann-s-walk-1.mp4");
    expect(solidBackground("white")).toBe("#ffffff");
    expect(solidBackground("studio")).toBeNull();
    expect(solidBackground("red; x")).toBeNull();
  });
});
