"""What people look at: TensorBoard, tables, the page."""
