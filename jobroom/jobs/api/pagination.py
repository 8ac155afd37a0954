"""Page-number pagination of lists in the API."""

from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from jobroom.web.cursors import GREATEST, REMEDY


class NumberedCursor(CursorPagination):
    """Pages along a whole number, newest first, never counted; a cursor that no page has given is a problem, not a fault."""

    page_size = 50

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the place to begin at; raise ValidationError for one that is none."""
        found = None
        try:
            found = super().decode_cursor(request)
            # The numbers are unique, so the framework names one in each cursor; base64 may also be of nothing.
            place = 0 if found is None else int(found.position) if found.position is not None else -1
        except (NotFound, ValueError):
            place = -1
        if not 0 <= place <= GREATEST:
            raise ValidationError({self.cursor_query_param: [REMEDY]})
        return found
