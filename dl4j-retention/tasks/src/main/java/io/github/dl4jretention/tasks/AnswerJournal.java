package io.github.dl4jretention.tasks;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * The answers to a task, in memory and, line by line, in a file: each line has its CRC-32, so a run that was killed goes
 * on after the last whole line. The first line says which model answered which questions.
 */
final class AnswerJournal implements AutoCloseable {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    private final Map<Integer, Answer> answers = new TreeMap<>();
    private final @Nullable FileChannel channel;

    /**
     * @param file     of the journal; null for memory only
     * @param identity of the model and the questions
     * @throws IOException if the file can't be read or written, or has the answers of others
     */
    AnswerJournal(@Nullable Path file, String identity) throws IOException {
        if (file == null) {
            channel = null;
            return;
        }
        long whole = Files.exists(file) ? read(file, identity) : 0;
        channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            channel.truncate(whole);
            channel.position(whole);
            if (whole == 0) {
                write(line(identity));
            }
        } catch (IOException e) {
            channel.close();
            throw e;
        }
    }

    private static String line(String content) {
        CRC32 checksum = new CRC32();
        checksum.update(content.getBytes(StandardCharsets.UTF_8));
        return Long.toHexString(checksum.getValue()) + " " + content + "\n";
    }

    /** {@return bytes of whole lines} */
    private long read(Path file, String identity) throws IOException {
        long whole = 0;
        try (InputStream stream = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            for (int b = stream.read(); b >= 0; b = stream.read()) {
                bytes.write(b);
                if (b != '\n') {
                    continue;
                }
                String text = bytes.toString(StandardCharsets.UTF_8);
                String content = text.strip().substring(text.indexOf(' ') + 1);
                if (!line(content).equals(text)) {
                    break;
                }
                if (whole > 0) {
                    Answer answer = parse(file, content);
                    answers.put(answer.question(), answer);
                } else if (!content.equals(identity)) {
                    throw new IOException("out: expected answers of the same model to the same questions in " + file
                            + ", got others; name another folder, or delete it");
                }
                whole += bytes.size();
                bytes.reset();
            }
        }
        return whole;
    }

    private static Answer parse(Path file, String content) throws IOException {
        try {
            return MAPPER.readValue(content, Answer.class);
        } catch (JsonProcessingException e) {
            throw new IOException("out: expected answers in " + file + ", got " + e.getOriginalMessage(), e);
        }
    }

    Map<Integer, Answer> answers() {
        return answers;
    }

    boolean has(List<Integer> questions) {
        return answers.keySet().containsAll(questions);
    }

    /** Adds what isn't there yet. */
    void add(List<Answer> more) throws IOException {
        StringBuilder lines = new StringBuilder();
        for (Answer answer : more) {
            if (answers.putIfAbsent(answer.question(), answer) == null) {
                lines.append(line(MAPPER.writeValueAsString(answer)));
            }
        }
        write(lines.toString());
    }

    private void write(String lines) throws IOException {
        if (channel == null) {
            return;
        }
        ByteBuffer bytes = ByteBuffer.wrap(lines.getBytes(StandardCharsets.UTF_8));
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
        channel.force(false);
    }

    @Override
    public void close() throws IOException {
        if (channel != null) {
            channel.close();
        }
    }
}
