package io.github.dl4jretention.tasks;

import io.github.dl4jretention.tasks.file.Question;
import io.github.dl4jretention.tasks.file.RecordFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.databind.JsonNode;

/**
 * What a judge said of pairs of answers, in AlpacaEval's form: {@code instruction}, {@code output_1}, {@code output_2} and
 * {@code preference}, from 1 for the first to 2 for the second, 1.5 or 0 for neither; null where it failed.
 */
final class Judgements {

    private record Judgement(String first, String second, double preference) {}

    private final Map<String, List<Judgement>> byInstruction = new HashMap<>();

    private Judgements() {}

    /** @param file null, or not there yet, for none */
    static Judgements read(@Nullable Path file) throws IOException {
        Judgements judgements = new Judgements();
        if (file != null && Files.exists(file)) {
            RecordFile.json(file, "", judgements::add);
        }
        return judgements;
    }

    private boolean add(String place, JsonNode node) throws IOException {
        for (String name : List.of("instruction", "output_1", "output_2")) {
            if (!node.path(name).isTextual()) {
                throw new IOException(place + ": " + name + ": expected a text, got " + node.path(name));
            }
        }
        JsonNode preference = node.path("preference");
        double value = preference.isNumber() ? preference.asDouble() : Double.NaN;
        boolean failed = preference.isNull() || Double.isNaN(value) && preference.isNumber();
        if (!failed && !(value == 0 || value >= 1 && value <= 2)) {
            throw new IOException(place + ": preference: expected a number from 1 to 2, 0 or null, got " + preference);
        }
        if (!failed) {
            byInstruction
                    .computeIfAbsent(node.get("instruction").asText(), key -> new ArrayList<>())
                    .add(new Judgement(
                            node.get("output_1").asText(), node.get("output_2").asText(), value == 0 ? 1.5 : value));
        }
        return true;
    }

    /** {@return marks of a question; none if the judge saw another answer, or none} */
    Map<String, Double> marks(Question question, Answer answer) {
        String own = answer.texts().get(0);
        String other = question.answers().get(0);
        for (Judgement judgement : byInstruction.getOrDefault(question.text(), List.of())) {
            boolean second = judgement.second().equals(own) && judgement.first().equals(other);
            boolean first = judgement.first().equals(own) && judgement.second().equals(other);
            if (first || second) {
                Map<String, Double> marks = new LinkedHashMap<>();
                marks.put("win_rate", second ? judgement.preference() - 1 : 2 - judgement.preference());
                marks.put(
                        Marking.LENGTH,
                        (double) own.codePointCount(0, own.length()) - other.codePointCount(0, other.length()));
                return marks;
            }
        }
        return Map.of();
    }
}
