from django.db import migrations

# Of pieces that were refunded before it was noted whether they had left, so many must have.
KNOWN = """
UPDATE orders_orderline l
SET refunded_sent_quantity = least(l.refunded_quantity, p.sent + l.refunded_quantity - l.quantity)
FROM (
    SELECT n.order_line_id, sum(n.quantity) AS sent
    FROM shipments_shipmentline n JOIN shipments_shipment s ON s.id = n.shipment_id
    WHERE s.state IN ('in_transit', 'problem', 'delivered', 'returned') GROUP BY n.order_line_id
) p
WHERE p.order_line_id = l.id AND p.sent > l.quantity - l.refunded_quantity
"""


class Migration(migrations.Migration):
    pasargad_phase = "expand"
    dependencies = [("shipments", "0001_initial"), ("orders", "0006_refunded_after_sending")]
    operations = [migrations.RunSQL(KNOWN, migrations.RunSQL.noop)]
