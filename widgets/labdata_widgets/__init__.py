"""ipywidgets and Bokeh components for labdata."""
