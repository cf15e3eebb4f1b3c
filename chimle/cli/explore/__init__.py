"""The page of `chimle explore`: its server, its queue, and the samples that it draws."""
