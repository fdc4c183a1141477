/** Icons as inline SVG: 20 x 20, drawn with the text's colour. */

const PATHS = {
  play: "M6.5 4.2v11.6a.6.6 0 0 0 .9.5l9.2-5.8a.6.6 0 0 0 0-1L7.4 3.7a.6.6 0 0 0-.9.5Z!",
  pause: "M6 4h2.6v12H6zM11.4 4H14v12h-2.6z!",
  previous: "M12.5 5 7.5 10l5 5",
  next: "M7.5 5l5 5-5 5",
  loopOne:
    "M4 9V8a3 3 0 0 1 3-3h8M13 2.5 15.5 5 13 7.5M16 11v1a3 3 0 0 1-3 3H5M7 12.500 4.500 15 7 17.500M10 8.600v3",
  loopAll: "M4 9V8a3 3 0 0 1 3-3h8M13 2.5 15.5 5 13 7.5M16 11v1a3 3 0 0 1-3 3H5M7 12.5 4.500 15 7 17.5",
  loopNone: "M3.500 10h11M11 6l4 4-4 4M17 5v10",
  camera:
    "M3 6.500h3l1.300-2h5.400l1.300 2h3v9.500H3zM10 13.500a2.700 2.700 0 1 0 0-5.400 2.700 2.700 0 0 0 0 5.400Z",
  record:
    "M10 16.500a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13ZM10 12.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Z",
  link: "M8.500 11.500a3 3 0 0 0 4.300 0l2.800-2.800a3 3 0 0 0-4.300-4.300L10 5.700M11.500 8.500a3 3 0 0 0-4.300 0l-2.800 2.800a3 3 0 0 0 4.300 4.300L10 14.300",
  sun: "M10 13.300a3.300 3.300 0 1 0 0-6.600 3.300 3.300 0 0 0 0 6.600ZM10 2.500v1.700M10 15.800v1.700M2.500 10h1.700M15.800 10h1.700M4.700 4.700l1.200 1.200M14.100 14.100l1.200 1.200M4.700 15.300l1.200-1.200M14.100 5.900l1.200-1.200",
  moon: "M16 12.300A6.700 6.700 0 0 1 7.700 4a6.500 6.500 0 1 0 8.300 8.300Z",
  system: "M3 4h14v9.500H3zM7.500 16.500h5M10 13.500v3",
  help: "M7.600 7.600a2.500 2.500 0 1 1 3.600 2.300c-.8.4-1.200.9-1.200 1.700v.4M10 14.700v.1M10 17.500a7.500 7.500 0 1 0 0-15 7.500 7.500 0 0 0 0 15Z",
  back: "M9 4.500 3.500 10 9 15.500M4 10h13",
  home: "M3.500 9.500 10 4l6.500 5.500M5.500 8.500V16h9V8.500",
  undo: "M4 8h8a4 4 0 0 1 0 8H8M7 4.500 3.500 8 7 11.500",
  redo: "M16 8H8a4 4 0 0 0 0 8h4M13 4.500 16.500 8 13 11.500",
  reset: "M4 10a6 6 0 1 0 2-4.500M4 3.500V7h3.500",
  close: "M5 5l10 10M15 5 5 15",
  search: "M9 14.500a5.500 5.500 0 1 0 0-11 5.500 5.500 0 0 0 0 11ZM13 13l4 4",
  upload: "M10 13V4M6.500 7.500 10 4l3.500 3.500M4 13v3h12v-3",
  motion: "M3 10h2.500l2-5 3.500 10 2.500-7 1.500 2h2",
  face: "M10 17.500a7.500 7.500 0 1 0 0-15 7.500 7.500 0 0 0 0 15ZM7.500 8v.6M12.500 8v.6M7 12c1.600 2 4.400 2 6 0",
  body: "M10 5.500a1.700 1.700 0 1 0 0-3.400 1.700 1.700 0 0 0 0 3.400ZM4 8h12M10 8v4M7 18l3-6 3 6",
  layers: "m10 3 7 3.800-7 3.700-7-3.700zM3.500 10.500 10 14l6.500-3.500M3.500 14 10 17.500l6.500-3.500",
  pose: "M6 16a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM14 8a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM7.400 12.600l5.200-5.200",
  info: "M10 9v5M10 6.300v.1M10 17.500a7.500 7.500 0 1 0 0-15 7.500 7.500 0 0 0 0 15Z",
  side: "M3 4.500h14v11H3zM10 4.500v11",
  wipe: "M3 4.500h14v11H3zM12 4.500v11M9.500 8 7.500 10l2 2",
  single: "M3 4.500h14v11H3z",
  clip: "M3 6h10v8H3zM13 9l4-2v6l-4-2z",
  fullScreen: "M4 8V4h4M12 4h4v4M16 12v4h-4M8 16H4v-4",
  expand: "M5 12.500 10 7.500l5 5",
} as const;

export type IconName = keyof typeof PATHS;

const SVG = "http://www.w3.org/2000/svg";

/** A trailing "!" in the path means filled instead of stroked. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const path = document.createElementNS(SVG, "path");
  const d: string = PATHS[name];
  if (d.endsWith("!")) svg.classList.add("filled");
  path.setAttribute("d", d.replace("!", ""));
  svg.append(path);
  return svg;
}

/** The pear. */
export function mark(): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("mark");
  const shapes = [
    [
      "pear",
      "M12 6.200c2 0 2.900 1.600 3.300 3.300.4 1.800 3.700 3 3.700 6.700 0 3.600-3 5.800-7 5.800s-7-2.200-7-5.800c0-3.700 3.300-4.900 3.700-6.700.4-1.700 1.300-3.300 3.300-3.300Z",
    ],
    ["leaf", "M12.300 5.200c.2-2 1.700-3.200 4-3.200 0 2.100-1.600 3.400-4 3.200Z"],
  ] as const;
  for (const [name, d] of shapes) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    path.classList.add(name);
    svg.append(path);
  }
  return svg;
}
