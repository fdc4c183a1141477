"""The lifter's network: landmarks of one frame in, pose, shape, face and camera out.

The person's parts are tokens: body parts, hands and face each have their own slice of a wide
state. First the tokens look at each other (attention, weights shared between them); dense
feed-forward blocks over the whole state follow, which for nine narrow tokens cost no more than
nine separate ones and let every part read every other. Left hands are mirrored by the caller, so
one encoder and one decoder serve both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pear_avatar.recovery.lifter import layout


@dataclass(frozen=True)
class NetworkSize:
    """tokens of token_width each, attention layers and heads, feed-forward blocks; widths of the
    part coders."""

    tokens: int = 9
    token_width: int = 64
    attention_layers: int = 1
    heads: int = 4
    blocks: int = 3
    part_hidden: int = 208
    part_width: int = 128

    @property
    def width(self) -> int:
        """The whole state's width."""
        return self.tokens * self.token_width


class Outputs(NamedTuple):
    """What the network says, B frames.

    body (B, 132): 6D rotations of 22 joints, the root relative to the viewing direction.
    betas (B, 16); scales (B, 6): logs of head and hand scale; camera (B, 3): the pelvis in the
    box and the log of its depth times the box's size. left_fingers (B, 90), mirrored, and
    right_fingers (B, 90): 6D rotations of 15 joints. actions (B, 52): facial actions in [0, 1].
    gaze (B, 4): pitch and yaw of the left eye, then of the right, radians.
    """

    body: Tensor
    betas: Tensor
    scales: Tensor
    camera: Tensor
    left_fingers: Tensor
    right_fingers: Tensor
    actions: Tensor
    gaze: Tensor


class Whitening(nn.Module):
    """Fixed linear change of an input: directions it varies in little become as large as others.

    Where a face points moves its landmarks thirty times as far as what it expresses; without
    this, training would spend its time on the former. Directions of mere noise stay small.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("matrix", torch.eye(size))

    @torch.no_grad()
    def fit(self, samples: Tensor, floor: float) -> None:
        """Learn from (M, size) samples; ``floor`` is the variance that counts as noise."""
        self.mean.copy_(samples.mean(0))
        centered = (samples - self.mean).double()
        values, vectors = torch.linalg.eigh(centered.t() @ centered / len(samples))
        self.matrix.copy_(vectors * (values.clamp_min(0) + floor).rsqrt())

    def forward(self, x: Tensor) -> Tensor:
        """(B, size) -> (B, size)."""
        return (x - self.mean) @ self.matrix


class _Attention(nn.Module):
    """Multi-head attention between the tokens of a state."""

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        self.tokens, self.heads = size.tokens, size.heads
        width = size.token_width
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        nn.init.zeros_(self.project.weight)

    def forward(self, state: Tensor) -> Tensor:
        """(B, tokens * width) -> the same."""
        x = state.unflatten(1, (self.tokens, -1))
        mixed = self.query_key_value(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = mixed.permute(2, 0, 3, 1, 4)
        weight = ((q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5).softmax(-1)
        return (x + self.project((weight @ v).transpose(1, 2).flatten(2))).flatten(1)


class _FeedForward(nn.Module):
    """A residual two-layer block over the whole state."""

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size.width)
        self.expand = nn.Linear(size.width, size.width)
        self.contract = nn.Linear(size.width, size.width)
        nn.init.zeros_(self.contract.weight)

    def forward(self, state: Tensor) -> Tensor:
        """(B, tokens * width) -> the same."""
        return state + self.contract(nn.functional.gelu(self.expand(self.norm(state))))


class LifterNetwork(nn.Module):
    """Tensors in, tensors out; names in :data:`layout.INPUT_NAMES`, :data:`layout.OUTPUT_NAMES`."""

    def __init__(self, size: NetworkSize | None = None) -> None:
        super().__init__()
        size = size or NetworkSize()
        self.size = size
        D, P = size.width, size.part_width
        self.body_whitening = Whitening(layout.POSE_SIZE + layout.CONTEXT_SIZE)
        self.hand_whitening = Whitening(layout.HAND_SIZE)
        self.face_whitening = Whitening(layout.FACE_SIZE)
        self.body_encoder = nn.Linear(layout.POSE_SIZE + layout.CONTEXT_SIZE, D)
        self.hand_encoder = _mlp(layout.HAND_SIZE, size.part_hidden, P)
        self.face_encoder = _mlp(layout.FACE_SIZE, size.part_hidden, P)
        self.part_mixer = nn.Linear(3 * P, D)
        attention = [_Attention(size) for _ in range(size.attention_layers)]
        self.blocks = nn.ModuleList([*attention, *(_FeedForward(size) for _ in range(size.blocks))])
        self.norm = nn.LayerNorm(D)
        sizes = (layout.NUM_BODY_JOINTS * 6, layout.NUM_BETAS, layout.NUM_SCALES, 3)
        self.body_sizes = sizes
        self.body_decoder = nn.Linear(D, sum(sizes))
        self.hand_decoder = _mlp(P + D, size.part_hidden, layout.NUM_FINGER_JOINTS * 6)
        self.face_decoder = _mlp(P + D, size.part_hidden, layout.NUM_ACTIONS + layout.NUM_GAZE)
        self._start_neutral()

    def _start_neutral(self) -> None:
        """Before training: a T-pose of the mean body, hands flat, face at rest."""
        upright = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
        for layer in (self.body_decoder, self.hand_decoder[-1], self.face_decoder[-1]):
            assert isinstance(layer, nn.Linear)
            nn.init.zeros_(layer.bias)
            layer.weight.data.mul_(0.1)
        self.body_decoder.bias.data[: self.body_sizes[0]] = upright.repeat(layout.NUM_BODY_JOINTS)
        self.body_decoder.bias.data[-1] = 0.4
        hand, face = self.hand_decoder[-1], self.face_decoder[-1]
        assert isinstance(hand, nn.Linear)
        assert isinstance(face, nn.Linear)
        hand.bias.data[:] = upright.repeat(layout.NUM_FINGER_JOINTS)
        face.bias.data[: layout.NUM_ACTIONS] = -3.0

    def forward(
        self, pose: Tensor, context: Tensor, left_hand: Tensor, right_hand: Tensor, face: Tensor
    ) -> Outputs:
        """Inputs of :class:`~pear_avatar.recovery.lifter.features.Inputs` -> :class:`Outputs`."""
        return self.core(*self.whiten(pose, context, left_hand, right_hand, face))

    def whiten(
        self, pose: Tensor, context: Tensor, left_hand: Tensor, right_hand: Tensor, face: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Whitened body, left hand, right hand and face; to be done in full precision."""
        return (
            self.body_whitening(torch.cat([pose, context], 1)),
            self.hand_whitening(left_hand),
            self.hand_whitening(right_hand),
            self.face_whitening(face),
        )

    def core(self, body: Tensor, left_hand: Tensor, right_hand: Tensor, face: Tensor) -> Outputs:
        """Whitened inputs -> :class:`Outputs`; tolerates half precision."""
        left, right = self.hand_encoder(left_hand), self.hand_encoder(right_hand)
        look = self.face_encoder(face)
        state = self.body_encoder(body) + self.part_mixer(torch.cat([left, right, look], 1))
        for block in self.blocks:
            state = block(state)
        state = self.norm(state)
        body, betas, scales, camera = self.body_decoder(state).split(self.body_sizes, 1)
        face_out = self.face_decoder(torch.cat([look, state], 1))
        actions, gaze = face_out.split((layout.NUM_ACTIONS, layout.NUM_GAZE), 1)
        return Outputs(
            body=body,
            betas=betas,
            scales=scales,
            camera=camera,
            left_fingers=self.hand_decoder(torch.cat([left, state], 1)),
            right_fingers=self.hand_decoder(torch.cat([right, state], 1)),
            actions=actions.sigmoid(),
            gaze=gaze,
        )


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))
