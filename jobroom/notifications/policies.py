"""Who may see mails, read them, and send them again. Closed unless said otherwise here."""

from django.contrib.auth.models import AnonymousUser

from jobroom.users import User


def may_see(user: User | AnonymousUser) -> bool:
    """Return whether the user may know which mails there are, to whom they go and what became of them."""
    return user.is_authenticated and user.is_active and user.is_staff


def may_read(user: User | AnonymousUser) -> bool:
    """Return whether the user may read what is in them."""
    return may_see(user) and user.has_perm("jobroom_notifications.read_mail")


def may_send_out(user: User | AnonymousUser) -> bool:
    """Return whether alerts of the user may go to webhooks and chats, and so out of this site."""
    return user.is_authenticated and user.is_active and user.has_perm("jobroom_notifications.send_out")


def may_resend(user: User | AnonymousUser) -> bool:
    """Return whether the user may send one again, or give it up."""
    return may_see(user) and user.has_perm("jobroom_notifications.resend_mail")
