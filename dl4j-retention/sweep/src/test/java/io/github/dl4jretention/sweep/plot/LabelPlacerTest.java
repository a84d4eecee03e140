package io.github.dl4jretention.sweep.plot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.geom.Point2D;
import java.awt.geom.Rectangle2D;
import java.util.List;
import org.junit.jupiter.api.Test;

class LabelPlacerTest {

    private static final double HEIGHT = 10;

    private final LabelPlacer placer = new LabelPlacer(new Rectangle2D.Double(0, 0, 200, 100), HEIGHT);

    private static Point2D point(double x, double y) {
        return new Point2D.Double(x, y);
    }

    /** What the text covers: its baseline is a fifth of its height above its lower edge. */
    private static Rectangle2D box(Point2D at, double width) {
        return new Rectangle2D.Double(at.getX(), at.getY() + HEIGHT / 5 - HEIGHT, width, HEIGHT);
    }

    @Test
    void a_name_stands_right_of_the_end_of_its_line_where_there_is_room() {
        Point2D at = placer.place(List.of(point(10, 50), point(100, 50)), 40);
        assertTrue(at.getX() > 100 && Math.abs(box(at, 40).getCenterY() - 50) < 1e-9, at.toString());
    }

    @Test
    void a_name_stays_within_the_axes() {
        for (Point2D corner : List.of(point(0, 0), point(200, 0), point(0, 100), point(199, 99))) {
            Point2D at = new LabelPlacer(new Rectangle2D.Double(0, 0, 200, 100), HEIGHT).place(List.of(corner), 60);
            assertTrue(new Rectangle2D.Double(0, 0, 200, 100).contains(box(at, 60)), corner + " " + at);
        }
    }

    @Test
    void names_of_lines_that_end_together_do_not_lie_on_each_other() {
        List<Point2D> line = List.of(point(10, 50), point(100, 50));
        placer.avoid(line, true);
        Rectangle2D one = box(placer.place(line, 60), 60);
        Rectangle2D other = box(placer.place(line, 60), 60);
        assertTrue(!one.intersects(other), one + " " + other);
    }

    @Test
    void a_label_is_left_out_where_it_would_lie_on_dots_lines_or_texts() {
        Point2D middle = point(100, 50);
        assertTrue(placer.placeIfFree(middle, 30).isPresent());
        // All around: texts first, then a grid of dots.
        long free = 0;
        while (placer.placeIfFree(middle, 30).isPresent()) {
            free++;
            assertTrue(free < 8);
        }
        LabelPlacer crowded = new LabelPlacer(new Rectangle2D.Double(0, 0, 200, 100), HEIGHT);
        for (int x = 0; x <= 200; x += 10) {
            crowded.avoid(List.of(point(x, 0), point(x, 100)), true);
        }
        assertEquals(true, crowded.placeIfFree(middle, 30).isEmpty());
    }
}
