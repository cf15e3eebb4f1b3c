"""Prefect flows over DVC: what runs when, where, with which retries, on whose GPU. No numerics."""
