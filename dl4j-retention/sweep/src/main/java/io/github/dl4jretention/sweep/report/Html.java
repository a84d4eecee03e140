package io.github.dl4jretention.sweep.report;

import java.util.Locale;

/** Text and numbers in a page. */
final class Html {

    private Html() {}

    /** A text with nothing in it that HTML or XML would take for its own; what XML cannot hold becomes a space. */
    static String escape(String text) {
        StringBuilder escaped = new StringBuilder();
        text.codePoints().forEach(c -> {
            switch (c) {
                case '&' -> escaped.append("&amp;");
                case '<' -> escaped.append("&lt;");
                case '>' -> escaped.append("&gt;");
                case '"' -> escaped.append("&quot;");
                case '\'' -> escaped.append("&#39;");
                default -> escaped.appendCodePoint(isText(c) ? c : ' ');
            }
        });
        return escaped.toString();
    }

    private static boolean isText(int c) {
        boolean control = c < 0x20 && c != '\n' && c != '\t';
        boolean surrogate = c >= 0xD800 && c <= 0xDFFF;
        return !control && !surrogate && c != 0xFFFE && c != 0xFFFF;
    }

    /** Four places after the point. */
    static String fixed(double value) {
        return String.format(Locale.ROOT, "%.4f", value);
    }

    /** Four digits, without zeros at the end; empty for NaN. */
    static String compact(double value) {
        if (Double.isNaN(value)) {
            return "";
        }
        String text = String.format(Locale.ROOT, "%.4g", value);
        return text.contains("e") || !text.contains(".") ? text : text.replaceFirst("\\.?0+$", "");
    }
}
