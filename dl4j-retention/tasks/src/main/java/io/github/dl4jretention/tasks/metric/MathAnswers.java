package io.github.dl4jretention.tasks.metric;

import java.math.BigInteger;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Answers of the MATH data set (Hendrycks et al., "Measuring Mathematical Problem Solving With the MATH Dataset",
 * https://arxiv.org/abs/2103.03874), compared by the rules of {@code is_equiv} of hendrycks_math 1.0 in
 * lm-evaluation-harness 0.4.13, in our own code: spaces, units, degrees, percent and dollar signs and {@code \left} don't
 * count, {@code a/b} is a fraction, and so on. A formula that the rules can't read is compared as it is.
 */
public final class MathAnswers {

    private static final String BOXED = "\\boxed";
    private static final String BOXED_SPACE = "\\boxed ";
    private static final String FRAC = "\\frac";
    private static final String SQRT = "\\sqrt";
    private static final String UNIT = "\\text{ ";
    private static final Pattern INTEGER = Pattern.compile("[+-]?[0-9]+(_[0-9]+)*");

    private MathAnswers() {}

    /** A formula that the rules don't take. */
    private static final class UnreadableException extends Exception {
        private static final long serialVersionUID = 1;
    }

    /**
     * {@return whether two answers are the same}
     *
     * @param answer    one
     * @param reference the other
     */
    public static boolean isEquivalent(String answer, String reference) {
        try {
            return normalized(answer).equals(normalized(reference));
        } catch (UnreadableException e) {
            return answer.equals(reference);
        }
    }

    /**
     * {@return what is in the last {@code \boxed{...}}, {@code \boxed ...} or else {@code \fbox{...}}; null for none}
     *
     * @param text a solution
     */
    public static @Nullable String lastBoxed(String text) {
        if (text.contains(BOXED_SPACE)) {
            String rest = text.substring(text.lastIndexOf(BOXED_SPACE) + BOXED_SPACE.length());
            int dollar = rest.indexOf('$');
            return dollar < 0 ? rest : rest.substring(0, dollar);
        }
        int box = text.lastIndexOf(BOXED);
        box = box < 0 ? text.lastIndexOf("\\fbox") : box;
        int open = text.indexOf('{', Math.max(box, 0));
        if (box < 0 || open < 0 || !text.substring(box + 1, open).matches("boxed|fbox")) {
            return null;
        }
        int depth = 0;
        for (int i = open; i < text.length(); i++) {
            depth += text.charAt(i) == '{' ? 1 : text.charAt(i) == '}' ? -1 : 0;
            if (depth == 0) {
                return text.substring(open + 1, i);
            }
        }
        return null;
    }

    private static String normalized(String formula) throws UnreadableException {
        String text = formula.replace("\n", "")
                .replace("\\!", "")
                .replace("\\\\", "\\")
                .replace("tfrac", "frac")
                .replace("dfrac", "frac")
                .replace("\\left", "")
                .replace("\\right", "")
                .replace("^{\\circ}", "")
                .replace("^\\circ", "")
                .replace("\\$", "");
        text = withoutUnit(text).replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.");
        if (text.isEmpty()) {
            return text;
        }
        text = text.startsWith(".") ? "0" + text : text;
        int equals = text.indexOf('=');
        if (equals >= 0 && equals <= 2 && text.indexOf('=', equals + 1) < 0) {
            text = text.substring(equals + 1);
        }
        text = fractions(roots(text).replace(" ", ""));
        return slash(text.equals("0.5") ? "\\frac{1}{2}" : text);
    }

    /** A unit follows the number, as a text that begins with a space. */
    private static String withoutUnit(String text) throws UnreadableException {
        int unit = text.indexOf(UNIT);
        if (unit >= 0 && text.indexOf(UNIT, unit + 1) >= 0) {
            throw new UnreadableException();
        }
        return unit < 0 ? text : text.substring(0, unit);
    }

    /** {@code \sqrt3} is {@code \sqrt{3}}. */
    private static String roots(String text) throws UnreadableException {
        String[] parts = text.split(Pattern.quote(SQRT), -1);
        StringBuilder all = new StringBuilder(parts[0]);
        for (int i = 1; i < parts.length; i++) {
            if (parts[i].isEmpty()) {
                throw new UnreadableException();
            }
            all.append(SQRT);
            if (parts[i].charAt(0) == '{') {
                all.append(parts[i]);
            } else {
                int end = parts[i].offsetByCodePoints(0, 1);
                all.append('{').append(parts[i], 0, end).append('}').append(parts[i], end, parts[i].length());
            }
        }
        return all.toString();
    }

    /** {@code \frac12} is {@code \frac{1}{2}}, and {@code \frac1{72}} is {@code \frac{1}{72}}. */
    private static String fractions(String text) throws UnreadableException {
        String[] parts = text.split(Pattern.quote(FRAC), -1);
        StringBuilder all = new StringBuilder(parts[0]);
        for (int i = 1; i < parts.length; i++) {
            int[] symbols = parts[i].codePoints().limit(2).toArray();
            if (symbols.length == 0) {
                throw new UnreadableException();
            }
            all.append(FRAC);
            if (symbols[0] == '{') {
                all.append(parts[i]);
            } else if (symbols.length < 2) {
                return text;
            } else {
                String rest = parts[i].substring(parts[i].offsetByCodePoints(0, 2));
                all.append('{').appendCodePoint(symbols[0]).append('}');
                if (symbols[1] == '{') {
                    all.append('{').append(rest);
                } else {
                    all.append('{').appendCodePoint(symbols[1]).append('}').append(rest);
                }
            }
        }
        return all.toString();
    }

    /** {@code 1/2} is {@code \frac{1}{2}}. */
    private static String slash(String text) throws UnreadableException {
        String[] parts = text.split("/", -1);
        if (parts.length != 2) {
            return text;
        }
        String upper = integer(parts[0]);
        String lower = integer(parts[1]);
        return text.equals(upper + "/" + lower) ? "\\frac{" + upper + "}{" + lower + "}" : text;
    }

    private static String integer(String text) throws UnreadableException {
        String number = text.strip();
        if (!INTEGER.matcher(number).matches()) {
            throw new UnreadableException();
        }
        return new BigInteger(number.replace("_", "")).toString();
    }
}
