"""positions_peer.py TOOL: what TOOL makes of random places in another size, against torch.nn.functional.interpolate as timm calls it."""
import subprocess
import sys

import numpy as np
import torch

D, PATCH = 192, 16
worst = 0.0
for old, new in (((14, 14), (7, 7)), ((14, 14), (24, 24)), ((14, 14), (14, 14)), ((3, 5), (6, 2)), ((2, 2), (5, 7)), ((16, 16), (3, 1)), ((1, 1), (4, 4))):
    torch.manual_seed(1)
    places = torch.randn(1 + old[0] * old[1], D)
    grid = places[1:].reshape(1, *old, D).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, size=new, mode="bicubic", antialias=True)
    expected = torch.cat((places[:1], grid.permute(0, 2, 3, 1).reshape(-1, D)))
    sizes = [str(PATCH * n) for n in old + new]
    found = subprocess.run([sys.argv[1], *sizes], input=places.numpy().tobytes(), stdout=subprocess.PIPE, check=True).stdout
    found = torch.from_numpy(np.frombuffer(found, np.float32).reshape(-1, D).copy())
    difference = ((found - expected).abs().max() / expected.abs().max()).item()
    print(f"{old} to {new}: largest difference {difference:.1e} of the largest value")
    worst = max(worst, difference)
    if old == new:
        assert torch.equal(found, places)
sys.exit(worst > 1e-5)
