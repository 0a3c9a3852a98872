"""Where quantized networks run: for each device a way to get there, a way to run or emulate it here, and a check."""
