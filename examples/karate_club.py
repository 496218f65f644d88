"""Two members of a karate club say whom they follow; a graph network tells it of the other 32."""

import helix
from helix import data, nn
from helix.nn import functional as F


class Club(nn.Module):
    """Two rounds of messages between those who met."""

    def __init__(self, members: int, width: int, classes: int) -> None:
        self.first, self.second = nn.GCNConv(members, width), nn.GCNConv(width, classes)

    def forward(self, x: helix.Tensor, edge_index: helix.Tensor) -> helix.Tensor:
        logits: helix.Tensor = self.second(F.relu(self.first(x, edge_index)), edge_index)
        return logits


def main() -> float:
    helix.manual_seed(0)
    club = data.karate_club()
    model, told = Club(34, 16, 2), helix.tensor([0, 33])
    optimizer = helix.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        logits = model(club.x, club.edge_index).index_select(0, told)
        F.cross_entropy(logits, club.y.index_select(0, told)).backward()
        optimizer.step()
    guessed = model.infer(club.x, club.edge_index).argmax(-1)
    right = int((guessed == club.y).sum())
    print(f"{right} of 34 members")
    return right / 34


if __name__ == "__main__":
    main()
