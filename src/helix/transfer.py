"""Copies between devices as a step of the graph: the gradient goes back to where the values came from."""

from __future__ import annotations

from helix.autograd import Function


class Transfer(Function):
    @staticmethod
    def forward(ctx, input, device):
        ctx.device = input.device
        return input.to(device)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.to(ctx.device), None
