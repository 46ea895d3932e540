"""What `doctor` looks at beside the store: the installation, the configuration's secrets, and the cluster."""
