"""The dashboard's views as plain values: chart, footprint, panels, banners, and one viewer's next message."""
