"""What CHIMLE is compared with: other methods and ablations, made of the same parts."""
