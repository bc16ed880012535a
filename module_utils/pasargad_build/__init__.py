"""Builds the release artefact on the control node: same input, same bytes, same id.

build.py tells the story; library/pasargad_artifact.py is its face to Ansible.
It runs in the repository's virtual environment.
"""
