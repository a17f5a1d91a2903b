"""A shop in Django whose sessions and cache are in files that all its processes share.

    pip install '.[django]' gunicorn           in the folder of the repository
    python manage.py migrate
    python manage.py createsuperuser
    gunicorn --preload --workers 3 shop.wsgi
    python manage.py clearsessions             now and then
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    execute_from_command_line(sys.argv)
