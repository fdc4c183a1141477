/** All avatars of a folder. */

import type { Session, SessionAvatar } from "../generated/schema";
import { h } from "./dom";
import { icon, mark } from "./icons";

export function galleryPage(
  session: Session,
  open: (avatar: SessionAvatar) => void,
  themeButton: HTMLElement,
): HTMLElement {
  const cards = session.avatars.map((avatar) => card(avatar, open));
  const count = session.avatars.length;
  return h(
    "main",
    { class: "gallery", "data-testid": "gallery" },
    h(
      "header",
      {},
      mark(),
      h("h1", {}, session.title),
      h("span", { class: "count" }, `${count} ${count === 1 ? "avatar" : "avatars"}`),
      themeButton,
    ),
    count
      ? h("ul", {}, ...cards)
      : h(
          "p",
          { class: "empty" },
          "There is no avatar in this folder yet. Make one with: pear-avatar fit VIDEO",
        ),
  );
}

function card(avatar: SessionAvatar, open: (avatar: SessionAvatar) => void): HTMLElement {
  const picture = avatar.thumbnail
    ? h("img", { src: avatar.thumbnail, alt: "", loading: "lazy", decoding: "async" })
    : h("span", { class: "placeholder" }, icon("body"));
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", class: "card", "data-testid": `avatar:${avatar.id}`, onclick: () => open(avatar) },
      h("span", { class: "picture" }, picture),
      h("strong", {}, avatar.name),
      h("small", {}, avatar.details),
    ),
  );
}
