"""Scripts of the repository: environments, the real parts, the demo. Not part of the package."""
