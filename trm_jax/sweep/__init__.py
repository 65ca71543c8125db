"""Many runs: sweeps, their processes, reports of what came of them."""
