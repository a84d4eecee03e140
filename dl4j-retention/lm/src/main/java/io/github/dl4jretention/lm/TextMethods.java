package io.github.dl4jretention.lm;

import java.beans.FeatureDescriptor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;
import org.jspecify.annotations.Nullable;

/** Methods of Python's texts that Java's don't have, or have otherwise: split would take a pattern. */
final class TextMethods extends ELResolver {

    @Override
    public @Nullable Object invoke(
            ELContext context, Object base, Object method, Class<?>[] parameterTypes, Object[] parameters) {
        if (!(base instanceof CharSequence)) {
            return null;
        }
        String text = base.toString();
        String argument = parameters.length == 0 ? "" : String.valueOf(parameters[0]);
        Object result =
                switch (method + (parameters.length == 0 ? "()" : "(x)")) {
                    case "upper()" -> text.toUpperCase(Locale.ROOT);
                    case "lower()" -> text.toLowerCase(Locale.ROOT);
                    case "startswith(x)" -> text.startsWith(argument);
                    case "endswith(x)" -> text.endsWith(argument);
                    case "strip()" -> text.strip();
                    case "lstrip()" -> text.stripLeading();
                    case "rstrip()" -> text.stripTrailing();
                    case "strip(x)" -> stripped(text, argument, true, true);
                    case "lstrip(x)" -> stripped(text, argument, true, false);
                    case "rstrip(x)" -> stripped(text, argument, false, true);
                    case "title()" -> title(text);
                    case "split()" -> new ArrayList<>(Arrays.asList(
                            text.isBlank() ? new String[0] : text.strip().split("(?U)\\s+")));
                    case "split(x)" -> split(text, argument, parameters);
                    default -> null;
                };
        context.setPropertyResolved(result != null);
        return result;
    }

    private static List<String> split(String text, String separator, Object[] parameters) {
        int parts = parameters.length > 1 ? ((Number) parameters[1]).intValue() + 1 : -1;
        return new ArrayList<>(List.of(text.split(Pattern.quote(separator), parts)));
    }

    /** The first letter of each run of letters large, the others small. */
    private static String title(String text) {
        StringBuilder title = new StringBuilder();
        boolean inside = false;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            title.append(inside ? Character.toLowerCase(c) : Character.toTitleCase(c));
            inside = Character.isLetter(c);
        }
        return title.toString();
    }

    private static String stripped(String text, String characters, boolean left, boolean right) {
        int from = 0;
        int to = text.length();
        while (left && from < to && characters.indexOf(text.charAt(from)) >= 0) {
            from++;
        }
        while (right && from < to && characters.indexOf(text.charAt(to - 1)) >= 0) {
            to--;
        }
        return text.substring(from, to);
    }

    @Override
    public @Nullable Object getValue(ELContext context, Object base, Object property) {
        return null;
    }

    @Override
    public @Nullable Class<?> getType(ELContext context, Object base, Object property) {
        return null;
    }

    @Override
    public void setValue(ELContext context, Object base, Object property, Object value) {
        // Left to the next one.
    }

    @Override
    public boolean isReadOnly(ELContext context, Object base, Object property) {
        return true;
    }

    @Override
    public Iterator<FeatureDescriptor> getFeatureDescriptors(ELContext context, Object base) {
        return Collections.emptyIterator();
    }

    @Override
    public @Nullable Class<?> getCommonPropertyType(ELContext context, Object base) {
        return null;
    }
}
