package io.github.dl4jretention.samples.lesson;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * Tasks in a folder, as {@code TaskSuite} reads them: a definition in YAML and a file of questions for each.
 *
 * @param folder that is there
 */
public record TaskFiles(Path folder) {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    /**
     * Writes a task whose questions are answered in words.
     *
     * @param role {@code source} or {@code target}
     * @param more lines of the definition
     */
    public void answers(String name, List<Asked> asked, String role, String more) throws IOException {
        List<ObjectNode> lines = new ArrayList<>();
        for (Asked each : asked) {
            ObjectNode line =
                    MAPPER.createObjectNode().put("question", each.question()).put("subject", each.subject());
            line.putArray("answers").add(each.answer());
            lines.add(line);
        }
        questions(name, "answers", role, "stop: [\"\\n\"]\n" + more, lines);
    }

    /** Writes a task with its questions, each an object on a line of its own. */
    public void questions(String name, String format, String role, String more, List<ObjectNode> lines)
            throws IOException {
        write(folder.resolve(name + ".jsonl"), lines);
        definition(name, name + ".jsonl", format, role, more);
    }

    /** Writes a task's definition. */
    public void definition(String name, String file, String format, String role, String more) throws IOException {
        Files.writeString(
                folder.resolve(name + ".yaml"),
                "format: " + format + "\nfile: " + file + "\nrole: " + role + "\n" + more);
    }

    /** Writes objects, a line each. */
    public static void write(Path file, List<ObjectNode> lines) throws IOException {
        StringBuilder text = new StringBuilder();
        for (ObjectNode line : lines) {
            text.append(MAPPER.writeValueAsString(line)).append('\n');
        }
        Files.writeString(file, text.toString());
    }
}
