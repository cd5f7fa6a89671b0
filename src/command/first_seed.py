"""What the database holds before each case: filled once after the migrations, then cloned."""

from django.contrib.auth import get_user_model


def fill() -> None:
    """Make what the pages need. The same rows get the same ids in every arm."""
    user = get_user_model()
    name = "admin@example.com" if user.USERNAME_FIELD == "email" else "admin"
    user.objects.create_superuser(**{user.USERNAME_FIELD: name}, password="for-arms-only")
