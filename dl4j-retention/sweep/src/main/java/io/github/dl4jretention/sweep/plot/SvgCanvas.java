package io.github.dl4jretention.sweep.plot;

import java.awt.Graphics2D;
import java.awt.geom.Point2D;
import java.io.StringWriter;
import java.util.List;
import java.util.stream.Collectors;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import javax.xml.transform.OutputKeys;
import javax.xml.transform.Transformer;
import javax.xml.transform.TransformerException;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.apache.batik.svggen.SVGGeneratorContext;
import org.apache.batik.svggen.SVGGraphics2D;
import org.apache.batik.svggen.SVGIDGenerator;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/** An SVG element to paint on, by Batik, with what a reader can point at above it. */
final class SvgCanvas {

    private static final String SVG = "http://www.w3.org/2000/svg";

    private final Document document;
    private final SVGGraphics2D graphics;
    private final Element hovers;
    private final String title;
    private final int width;
    private final int height;

    SvgCanvas(String title, int width, int height) {
        this.title = title;
        this.width = width;
        this.height = height;
        try {
            document = DocumentBuilderFactory.newInstance()
                    .newDocumentBuilder()
                    .getDOMImplementation()
                    .createDocument(SVG, "svg", null);
        } catch (ParserConfigurationException e) {
            throw new IllegalStateException("every Java platform makes XML documents", e);
        }
        SVGGeneratorContext context = SVGGeneratorContext.createDefault(document);
        context.setComment(null);
        context.setPrecision(2);
        // Several pictures stand in one page, where an id must be one of its kind.
        String page = Integer.toHexString(title.hashCode());
        context.setIDGenerator(new SVGIDGenerator() {
            @Override
            public String generateID(String prefix) {
                return super.generateID(prefix + page + "-");
            }
        });
        graphics = new SVGGraphics2D(context, true);
        hovers = document.createElementNS(SVG, "g");
    }

    Graphics2D graphics() {
        return graphics;
    }

    /** A dot, or a line through several points, which can't be seen until a reader points at it. */
    void hover(String text, List<Point2D> points) {
        Element mark;
        if (points.size() == 1) {
            mark = document.createElementNS(SVG, "circle");
            mark.setAttribute("cx", number(points.get(0).getX()));
            mark.setAttribute("cy", number(points.get(0).getY()));
            mark.setAttribute("r", "9");
            mark.setAttribute("tabindex", "0");
        } else {
            mark = document.createElementNS(SVG, "polyline");
            mark.setAttribute(
                    "points",
                    points.stream()
                            .map(point -> number(point.getX()) + "," + number(point.getY()))
                            .collect(Collectors.joining(" ")));
            mark.setAttribute("stroke-width", "9");
        }
        mark.setAttribute("class", "hover");
        mark.setAttribute("fill", "none");
        mark.setAttribute("stroke", "transparent");
        mark.setAttribute("pointer-events", "all");
        Element name = document.createElementNS(SVG, "title");
        name.setTextContent(xml(text));
        mark.appendChild(name);
        hovers.appendChild(mark);
    }

    /** One place after the point. A report may have a hundred thousand of them, for which String.format is slow. */
    private static String number(double value) {
        long tenths = Math.round(10 * value);
        return (tenths < 0 ? "-" : "") + Math.abs(tenths) / 10 + "." + Math.abs(tenths) % 10;
    }

    /** What XML can't hold becomes a space. */
    private static String xml(String text) {
        return text.replaceAll("[^\\t\\n\\x20-\\uD7FF\\uE000-\\uFFFD\\x{10000}-\\x{10FFFF}]", " ");
    }

    String toSvg() {
        Element root = graphics.getRoot();
        root.setAttribute("viewBox", "0 0 " + width + " " + height);
        root.setAttribute("role", "img");
        root.setAttribute("aria-label", xml(title));
        // Batik gives it the same id in every picture, and refers to it nowhere.
        ((Element) root.getFirstChild()).removeAttribute("id");
        root.appendChild(hovers);
        try {
            Transformer transformer = TransformerFactory.newInstance().newTransformer();
            transformer.setOutputProperty(OutputKeys.OMIT_XML_DECLARATION, "yes");
            StringWriter text = new StringWriter();
            transformer.transform(new DOMSource(root), new StreamResult(text));
            return text.toString();
        } catch (TransformerException e) {
            throw new IllegalStateException("the picture can't be written as SVG", e);
        }
    }
}
