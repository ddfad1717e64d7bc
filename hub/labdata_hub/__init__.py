"""JupyterHub pieces for labdata: kernels as Slurm jobs, services."""
