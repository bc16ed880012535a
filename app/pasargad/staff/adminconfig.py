from django.contrib.admin.apps import AdminConfig


class StaffAdminConfig(AdminConfig):
    """Django's admin with our first page, and with an audit log of its actions."""

    default_site = "pasargad.staff.site.StaffSite"
