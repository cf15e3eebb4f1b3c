"""What a Python program calls beside `chimle.load`: training and scoring of images in memory."""
