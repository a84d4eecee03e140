package io.github.dl4jretention.lm;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Renders a model's Jinja template, as the transformers library does: blocks are trimmed, and unknown names empty. */
final class ChatTemplate {

    /** Python's names of methods of texts, and Java's. */
    private static final Map<String, String> METHODS = Map.of(
            ".startswith(", ".startsWith(",
            ".endswith(", ".endsWith(",
            ".lstrip()", ".stripLeading()",
            ".rstrip()", ".stripTrailing()",
            ".upper()", ".toUpperCase()",
            ".lower()", ".toLowerCase()");

    private static final int LONGEST = 10_000_000;

    private final Jinjava jinjava;
    private final String template;
    private final String beginning;
    private final String end;

    ChatTemplate(String template, String beginning, String end) {
        jinjava = new Jinjava(JinjavaConfig.newBuilder()
                .withTrimBlocks(true)
                .withLstripBlocks(true)
                .withMaxOutputSize(LONGEST)
                // What people write is text, whatever braces are in it.
                .withNestedInterpretationEnabled(false)
                .build());
        jinjava.getGlobalContext()
                .registerFunction(
                        new ELFunctionDefinition("", "raise_exception", ChatTemplate.class, "raise", Object.class));
        // As Jinja does, without the newline at the end.
        String text = template.endsWith("\n") ? template.substring(0, template.length() - 1) : template;
        for (Map.Entry<String, String> method : METHODS.entrySet()) {
            text = text.replace(method.getKey(), method.getValue());
        }
        this.template = text.replace("{% generation %}", "").replace("{% endgeneration %}", "");
        this.beginning = beginning;
        this.end = end;
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
