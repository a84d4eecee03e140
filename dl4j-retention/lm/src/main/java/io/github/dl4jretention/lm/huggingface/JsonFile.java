package io.github.dl4jretention.lm.huggingface;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.nd4j.shade.jackson.core.JsonFactory;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.core.JsonToken;
import org.nd4j.shade.jackson.databind.DeserializationFeature;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** Reads JSON that nobody vouches for: no key twice, nothing behind it, no nesting that exhausts the stack. */
final class JsonFile {

    static final ObjectMapper MAPPER = new ObjectMapper()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private static final JsonFactory FACTORY = MAPPER.getFactory();
    private static final int DEEPEST = 64;
    private static final long LONGEST = 256L << 20;

    private JsonFile() {}

    /** {@return a file's bytes} The message of what goes wrong names the file. */
    static byte[] bytes(Path file) throws IOException {
        if (!Files.isRegularFile(file) || !Files.isReadable(file)) {
            throw new IOException("file: expected a readable file, got " + file);
        }
        if (Files.size(file) > LONGEST) {
            throw new IOException("file " + file + ": expected at most " + LONGEST + " bytes, got " + Files.size(file));
        }
        return Files.readAllBytes(file);
    }

    static ObjectNode object(Path file) throws IOException {
        return object(bytes(file), "file " + file);
    }

    /**
     * {@return the object that is all of the text}
     *
     * @param where begins the message of what goes wrong
     */
    static ObjectNode object(byte[] json, String where) throws IOException {
        String text = text(json, where);
        try {
            requireFlat(text, where);
            JsonNode node = MAPPER.readTree(text);
            if (node instanceof ObjectNode object) {
                return object;
            }
            throw new IOException(where + ": expected a JSON object, got "
                    + (node == null ? "nothing" : node.getNodeType().toString().toLowerCase(java.util.Locale.ROOT)));
        } catch (JsonProcessingException e) {
            throw new IOException(where + ": expected JSON, got " + reason(e), e);
        }
    }

    /** Without the text around the error, which may be long and binary. */
    static String reason(JsonProcessingException e) {
        String where = e.getLocation() == null
                ? ""
                : " at line " + e.getLocation().getLineNr() + ", column "
                        + e.getLocation().getColumnNr();
        return String.valueOf(e.getOriginalMessage()).lines().findFirst().orElse("nothing") + where;
    }

    static String text(byte[] utf8, String where) throws IOException {
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(utf8))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new IOException(where + ": expected UTF-8, got other bytes", e);
        }
    }

    private static void requireFlat(String text, String where) throws IOException {
        try (JsonParser parser = FACTORY.createParser(text)) {
            int depth = 0;
            for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
                depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
                if (depth > DEEPEST) {
                    throw new IOException(where + ": expected JSON nested at most " + DEEPEST + " deep, got more");
                }
            }
        }
    }
}
