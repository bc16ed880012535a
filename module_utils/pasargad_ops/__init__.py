"""The operations on a host: the work behind the Ansible modules and the systemd timers."""
