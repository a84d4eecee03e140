package io.github.dl4jretention.sweep.plot;

import java.awt.geom.Line2D;
import java.awt.geom.Point2D;
import java.awt.geom.Rectangle2D;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;

/** Finds room for texts beside points, in pixels: inside the axes, off other texts, and off lines and dots if it can. */
final class LabelPlacer {

    private static final double GAP = 9;
    private static final double OUTSIDE = 1e6;
    private static final double ON_TEXT = 1000;
    private static final double ON_DOT = 4;
    private static final double ON_LINE = 3;
    /** Of a line with many points so many are tried. */
    private static final int TRIED = 24;

    private final Rectangle2D frame;
    private final double height;
    private final List<Rectangle2D> texts = new ArrayList<>();
    /** By the square that they lie in: curves of a thousand candidates have a hundred thousand. */
    private final Map<Square, List<Point2D>> dots = new HashMap<>();

    private final List<Line2D> lines = new ArrayList<>();

    /** One of {@value #SIDE} x {@value #SIDE} pixels. */
    private record Square(int column, int row) {

        private static final double SIDE = 16;

        static Square of(double x, double y) {
            return new Square((int) Math.floor(x / SIDE), (int) Math.floor(y / SIDE));
        }
    }

    LabelPlacer(Rectangle2D frame, double height) {
        this.frame = frame;
        this.height = height;
    }

    void avoid(List<Point2D> points, boolean joined) {
        points.forEach(this::avoid);
        for (int i = 1; joined && i < points.size(); i++) {
            lines.add(new Line2D.Double(points.get(i - 1), points.get(i)));
        }
    }

    private void avoid(Point2D dot) {
        dots.computeIfAbsent(Square.of(dot.getX(), dot.getY()), square -> new ArrayList<>())
                .add(dot);
    }

    void avoidRing(Point2D centre, double radius) {
        for (double[] side : new double[][] {{1, 0}, {-1, 0}, {0, 1}, {0, -1}}) {
            avoid(new Point2D.Double(centre.getX() + radius * side[0], centre.getY() + radius * side[1]));
        }
    }

    /** Where the text of a line or a cloud begins, at its baseline: at the end of the line, if there is room. */
    Point2D place(List<Point2D> points, double width) {
        int tried = Math.min(TRIED, points.size());
        return taken(IntStream.range(0, tried)
                .mapToObj(i -> points.get(points.size() - 1 - i * points.size() / tried))
                .flatMap(anchor -> around(anchor, width).stream())
                .min(Comparator.comparingDouble(this::cost))
                .orElseThrow());
    }

    /** Where the text of a point begins, at its baseline; empty if it would lie on another text, a dot or a line. */
    Optional<Point2D> placeIfFree(Point2D point, double width) {
        return around(point, width).stream()
                .filter(box -> cost(box) == 0)
                .findFirst()
                .map(this::taken);
    }

    private Point2D taken(Rectangle2D box) {
        texts.add(box);
        return new Point2D.Double(box.getX(), box.getMaxY() - height / 5);
    }

    private List<Rectangle2D> around(Point2D point, double width) {
        double x = point.getX();
        double y = point.getY();
        double[] lefts = {x + GAP, x - width / 2, x - width / 2, x - GAP - width, x + GAP, x + GAP, x - width, x - width
        };
        double[] tops = {
            y - height / 2,
            y - GAP - height,
            y + GAP,
            y - height / 2,
            y - GAP - height,
            y + GAP,
            y - GAP - height,
            y + GAP
        };
        return IntStream.range(0, lefts.length)
                .mapToObj(i -> (Rectangle2D) new Rectangle2D.Double(lefts[i], tops[i], width, height))
                .toList();
    }

    private double cost(Rectangle2D box) {
        double cost = frame.contains(box) ? 0 : OUTSIDE;
        cost += ON_TEXT * texts.stream().filter(box::intersects).count();
        Rectangle2D wide = new Rectangle2D.Double(
                box.getX() - GAP / 2, box.getY() - GAP / 2, box.getWidth() + GAP, box.getHeight() + GAP);
        cost += ON_DOT * dots(wide);
        return cost
                + ON_LINE * lines.stream().filter(line -> line.intersects(box)).count();
    }

    private long dots(Rectangle2D box) {
        Square first = Square.of(box.getMinX(), box.getMinY());
        Square last = Square.of(box.getMaxX(), box.getMaxY());
        long count = 0;
        for (int column = first.column(); column <= last.column(); column++) {
            for (int row = first.row(); row <= last.row(); row++) {
                count += dots.getOrDefault(new Square(column, row), List.of()).stream()
                        .filter(box::contains)
                        .count();
            }
        }
        return count;
    }
}
