"""Three-dimensional keypoints solved onto the body: layouts, the body's own points, the solve."""
