package io.github.dl4jretention.lm;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.el.JinjavaInterpreterResolver;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import jinjava.javax.el.CompositeELResolver;
import jinjava.javax.el.ELResolver;

/** Renders a model's Jinja template, as the transformers library does: blocks are trimmed, and unknown names empty. */
final class ChatTemplate {

    /** What Jinja's lstrip_blocks removes. */
    private static final Pattern INDENTED = Pattern.compile("(?m)^[ \\t]+(?=\\{[%#](?!\\+))");

    private static final Pattern GENERATION = Pattern.compile("\\{%([-+]?)\\s*(?:end)?generation\\s*([-+]?)%}");

    private static final String NAMESPACE = "namespace(";

    private static final int LONGEST = 10_000_000;

    private final Jinjava jinjava;
    private final String template;
    private final String beginning;
    private final String end;

    ChatTemplate(String template, String beginning, String end) {
        jinjava = new Jinjava(JinjavaConfig.newBuilder()
                .withTrimBlocks(true)
                .withElResolver(resolver())
                .withMaxOutputSize(LONGEST)
                // What people write is text, whatever braces are in it.
                .withNestedInterpretationEnabled(false)
                // {{- and -}} take the white space beside them away, as {%- and -%} do.
                .withLegacyOverrides(LegacyOverrides.newBuilder()
                        .withUseTrimmingForNotesAndExpressions(true)
                        .build())
                .build());
        jinjava.getGlobalContext()
                .registerFunction(
                        new ELFunctionDefinition("", "raise_exception", ChatTemplate.class, "raise", Object.class));
        // As Jinja does, without the newline at the end.
        String text = template.endsWith("\n") ? template.substring(0, template.length() - 1) : template;
        // Jinjava would take spaces in the middle of lines away, too.
        text = INDENTED.matcher(text).replaceAll("").replace("[::-1]", "|reverse");
        // A block that always is there, so that what is trimmed beside it stays trimmed.
        text = GENERATION.matcher(text).replaceAll("{%$1 set generation_ = 0 $2%}");
        this.template = namespaces(text);
        this.beginning = beginning;
        this.end = end;
    }

    /** {@code namespace(a=b + 1)} as {@code namespace(a=(b + 1))}: without parentheses, a value is one name or number. */
    private static String namespaces(String text) {
        StringBuilder result = new StringBuilder();
        int done = 0;
        for (int at = text.indexOf(NAMESPACE); at >= 0; at = text.indexOf(NAMESPACE, done)) {
            int from = at + NAMESPACE.length();
            result.append(text, done, from);
            done = from;
            int depth = 0;
            char quote = 0;
            boolean value = false;
            for (; done < text.length() && depth >= 0; done++) {
                char c = text.charAt(done);
                boolean outside = quote == 0 && depth == 0;
                if (quote != 0) {
                    quote = c == quote ? 0 : quote;
                } else if (c == '\'' || c == '"') {
                    quote = c;
                } else if ("([{".indexOf(c) >= 0) {
                    depth++;
                } else if (")]}".indexOf(c) >= 0) {
                    depth--;
                }
                if (value && outside && (c == ',' || depth < 0)) {
                    result.append(')');
                    value = false;
                }
                result.append(c);
                if (!value && outside && c == '=') {
                    result.append('(');
                    value = true;
                }
            }
        }
        return result.append(text, done, text.length()).toString();
    }

    private static ELResolver resolver() {
        CompositeELResolver resolver = new CompositeELResolver();
        resolver.add(new TextMethods());
        resolver.add(JinjavaInterpreterResolver.DEFAULT_RESOLVER_READ_WRITE);
        return resolver;
    }

    /**
     * Called by templates.
     *
     * @param reason what the template doesn't like
     * @return nothing
     */
    @SuppressWarnings("DoNotCallSuggester")
    public static String raise(Object reason) {
        throw new IllegalArgumentException(String.valueOf(reason));
    }

    String render(List<ChatMessage> messages, boolean answerFollows) {
        List<Map<String, String>> list = new ArrayList<>();
        for (ChatMessage message : messages) {
            list.add(Map.of("role", message.role(), "content", message.content()));
        }
        Map<String, Object> names = new HashMap<>();
        names.put("messages", list);
        names.put("add_generation_prompt", answerFollows);
        names.put("bos_token", beginning);
        names.put("eos_token", end);
        RenderResult result = jinjava.renderForResult(template, names);
        for (TemplateError error : result.getErrors()) {
            if (error.getSeverity() == TemplateError.ErrorType.FATAL) {
                throw new IllegalArgumentException("messages: expected what the model's chat template can render, got: "
                        + reason(error).lines().findFirst().orElse("an error"));
            }
        }
        return result.getOutput();
    }

    /** The template's own words, if it raised the error. */
    private static String reason(TemplateError error) {
        Throwable cause = error.getException();
        String reason = String.valueOf(error.getMessage());
        while (cause != null) {
            if (cause instanceof IllegalArgumentException && cause.getMessage() != null) {
                reason = cause.getMessage();
            }
            cause = cause.getCause();
        }
        return reason;
    }
}
