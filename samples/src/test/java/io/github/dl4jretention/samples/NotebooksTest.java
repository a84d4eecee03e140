package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** The committed notebooks are executed ones, fit to be read where nothing executes them. */
class NotebooksTest {

    private static final Path FOLDER = Path.of("notebooks");
    private static final Pattern MACHINE_PATH =
            Pattern.compile("(?<![\\w.])/(home|root|tmp|usr|var|opt|mnt|work|Users)/|[A-Z]:\\\\\\\\");
    private static final Pattern NOISE =
            Pattern.compile("Added differentiated op|SLF4J|WARN|javacpp|\\w@[0-9a-f]{6}", Pattern.CASE_INSENSITIVE);
    private static final Pattern LINK = Pattern.compile("]\\(([^)#:]+)\\)");

    static List<Path> notebooks() throws IOException {
        try (Stream<Path> files = Files.list(FOLDER)) {
            return files.filter(file -> file.toString().endsWith(".ipynb"))
                    .sorted()
                    .toList();
        }
    }

    private static Stream<JsonNode> cells(Path notebook, String type) throws IOException {
        JsonNode cells = new ObjectMapper().readTree(notebook.toFile()).get("cells");
        return StreamSupport.stream(cells.spliterator(), false)
                .filter(cell -> type.equals(cell.get("cell_type").asText()));
    }

    private static String text(JsonNode lines) {
        return lines.isTextual()
                ? lines.asText()
                : StreamSupport.stream(lines.spliterator(), false)
                        .map(JsonNode::asText)
                        .reduce("", String::concat);
    }

    @Test
    void there_are_five() throws IOException {
        assertEquals(5, notebooks().size());
    }

    @ParameterizedTest
    @MethodSource("notebooks")
    void every_code_cell_was_executed_in_its_order_without_an_error(Path notebook) throws IOException {
        List<JsonNode> cells = cells(notebook, "code").toList();
        for (int i = 0; i < cells.size(); i++) {
            JsonNode cell = cells.get(i);
            String source = text(cell.get("source"));
            assertEquals(i + 1, cell.get("execution_count").asInt(), source);
            assertFalse(cell.get("outputs").isEmpty(), source);
            for (JsonNode output : cell.get("outputs")) {
                assertFalse("error".equals(output.get("output_type").asText()), source);
                assertFalse(
                        output.has("name") && "stderr".equals(output.get("name").asText()), source);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("notebooks")
    void outputs_have_no_paths_of_a_machine_and_no_notes_of_libraries(Path notebook) throws IOException {
        for (JsonNode cell : cells(notebook, "code").toList()) {
            for (JsonNode output : cell.get("outputs")) {
                String shown = output.has("text") ? text(output.get("text")) : "";
                if (output.has("data")) {
                    for (String type : List.of("text/plain", "text/html")) {
                        shown += output.get("data").has(type)
                                ? text(output.get("data").get(type))
                                : "";
                    }
                }
                assertFalse(MACHINE_PATH.matcher(shown).find(), shown);
                assertFalse(NOISE.matcher(shown).find(), shown);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("notebooks")
    void there_are_pictures_in_it(Path notebook) throws IOException {
        List<String> pictures = cells(notebook, "code")
                .flatMap(cell -> StreamSupport.stream(cell.get("outputs").spliterator(), false))
                .filter(output -> output.has("data") && output.get("data").has("image/png"))
                .map(output -> text(output.get("data").get("image/png")).strip())
                .toList();
        assertFalse(pictures.isEmpty());
        for (String picture : pictures) {
            BufferedImage image = ImageIO.read(
                    new ByteArrayInputStream(Base64.getMimeDecoder().decode(picture)));
            assertNotNull(image);
            assertTrue(image.getWidth() > 300);
        }
    }

    @ParameterizedTest
    @MethodSource("notebooks")
    void links_lead_to_files(Path notebook) throws IOException {
        cells(notebook, "markdown")
                .map(cell -> text(cell.get("source")))
                .flatMap(source -> LINK.matcher(source).results())
                .map(link -> FOLDER.resolve(link.group(1)))
                .forEach(file -> assertTrue(Files.exists(file), file.toString()));
    }
}
