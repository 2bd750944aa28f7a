"""A service account key in the format of Google Cloud."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ROBOT = "robot@key-project.iam.gserviceaccount.com"
BOSS = "boss@head-office.iam.gserviceaccount.com"
PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


def make_key() -> dict[str, str]:
    """Make the key of a service account that does not exist."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "key-project",
        "private_key": pem.decode(),
        "client_email": ROBOT,
        "token_uri": "https://oauth2.googleapis.com/token",
    }
