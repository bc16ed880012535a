import logging

from django_tasks import task

from pasargad.background.periodic import periodic

from . import selectors

logger = logging.getLogger(__name__)


@periodic(seconds=3600)
@task()
def chain_verify() -> int:
    """Ask whether the log is whole, and write its head where the database's owner cannot reach: into the journal."""
    problems = selectors.chain_problems()
    for problem in problems:
        logger.error("the audit log is damaged", extra={"problem": problem})
    logger.info("audit log", extra={"head": str(selectors.chain_head()), "problems": len(problems)})
    return len(problems)
