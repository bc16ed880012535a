from django.db import migrations

# Where one refund stands for a line, the line tells how many of its pieces had left; of several it cannot be known.
KNOWN = """
UPDATE payments_refundline n SET sent_quantity = least(n.quantity, l.refunded_sent_quantity)
FROM orders_orderline l
WHERE l.id = n.line_id AND l.refunded_sent_quantity > 0
    AND NOT EXISTS (SELECT FROM payments_refundline other WHERE other.line_id = n.line_id AND other.id <> n.id)
"""
# Pieces of refunds that were withdrawn counted as given back for ever. Stock is left to who counts it: what was put
# there for such a refund may have been sold since.
OWED = """
UPDATE orders_orderline l
SET refunded_quantity = s.standing, refunded_sent_quantity = least(l.refunded_sent_quantity, s.standing)
FROM (
    SELECT n.line_id, coalesce(sum(n.quantity) FILTER (WHERE f.status <> 'withdrawn'), 0) AS standing
    FROM payments_refundline n JOIN payments_refund f ON f.id = n.refund_id
    GROUP BY n.line_id HAVING bool_or(f.status = 'withdrawn')
) s
WHERE s.line_id = l.id AND l.refunded_quantity > s.standing
"""


class Migration(migrations.Migration):
    pasargad_phase = "expand"
    dependencies = [("payments", "0005_pieces_that_had_left"), ("orders", "0006_refunded_after_sending")]
    operations = [migrations.RunSQL([KNOWN, OWED], migrations.RunSQL.noop)]
