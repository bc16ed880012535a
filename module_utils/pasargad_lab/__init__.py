"""Real Debian hosts on this machine: systemd-nspawn over overlayfs, reached by SSH as in production."""
