package io.github.dl4jretention.lm.text;

import io.github.dl4jretention.lm.ChatMessage;
import io.github.dl4jretention.lm.Tokenizer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.DeserializationFeature;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * Makes tokens of a document.
 *
 * @param tokenizer      of the model
 * @param answersOnly    whether of prompts nothing is learned
 * @param rejected       whether of preferences the rejected answer is taken
 * @param sequenceLength tokens that a document with a prompt may have
 */
public record DocumentReader(Tokenizer tokenizer, boolean answersOnly, boolean rejected, int sequenceLength) {

    private static final ObjectMapper MAPPER = new ObjectMapper()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    /** A text that is longer has two tokens, whatever the tokenizer, so that it needn't be encoded to know. */
    private static final int SHORT = 1_000;

    /**
     * Checks a document without keeping it: its JSON, its keys, and that it has enough tokens and,
     * where it must stay whole, not too many.
     *
     * @param place where it is
     * @throws IOException if it doesn't fit; the message names file and line
     */
    public void check(TextFile.Place place) throws IOException {
        if (!place.file().isLines()) {
            if (place.length() <= SHORT) {
                read(place);
            }
            return;
        }
        JsonNode json = json(place);
        if (!json.has("text") || string(place, json, "text").length() <= SHORT) {
            read(place);
        }
    }

    /**
     * Checks a pair: a prompt, and two answers that differ.
     *
     * @param place where it is
     * @throws IOException if it's no pair; the message names file and line
     */
    public void checkPair(TextFile.Place place) throws IOException {
        if (!place.file().isLines() || !json(place).has("rejected")) {
            throw place.refused("an object with prompt, chosen and rejected, for pairs, got another document");
        }
        int[] chosen = read(place).ids();
        if (Arrays.equals(chosen, ofRejected().read(place).ids())) {
            throw place.refused("a rejected answer other than the chosen one, got the same tokens");
        }
    }

    /**
     * {@return a document's text: its own, its prompt and answer, or its conversation as the tokenizer's template writes
     * it}
     *
     * @param place where it is
     * @throws IOException if it doesn't fit; the message names file and line
     */
    public String text(TextFile.Place place) throws IOException {
        if (!place.file().isLines()) {
            return place.read();
        }
        JsonNode json = json(place);
        try {
            if (json.has("text")) {
                return string(place, json, "text");
            }
            return json.has("messages")
                    ? tokenizer.chat(list(place, json.get("messages")), false)
                    : string(place, json, "prompt") + string(place, json, answer(json));
        } catch (IllegalArgumentException | IllegalStateException e) {
            throw place.refused("a document that the tokenizer takes, got: " + e.getMessage());
        }
    }

    private String answer(JsonNode json) {
        return json.has("completion") ? "completion" : rejected ? "rejected" : "chosen";
    }

    private static List<ChatMessage> list(TextFile.Place place, JsonNode messages) throws IOException {
        List<ChatMessage> list = new ArrayList<>();
        for (JsonNode message : messages) {
            list.add(new ChatMessage(string(place, message, "role"), string(place, message, "content")));
        }
        return list;
    }

    /** {@return the same, of which preferences' rejected answers are taken} */
    public DocumentReader ofRejected() {
        return new DocumentReader(tokenizer, answersOnly, true, sequenceLength);
    }

    Document read(TextFile.Place place) throws IOException {
        if (!place.file().isLines()) {
            return text(place, place.read());
        }
        JsonNode json = json(place);
        try {
            if (json.has("text")) {
                return text(place, string(place, json, "text"));
            }
            if (json.has("messages")) {
                return messages(place, json.get("messages"));
            }
            return prompted(place, string(place, json, "prompt"), string(place, json, answer(json)));
        } catch (IllegalArgumentException | IllegalStateException e) {
            throw place.refused("a document that the tokenizer takes, got: " + e.getMessage());
        }
    }

    private static JsonNode json(TextFile.Place place) throws IOException {
        JsonNode json;
        try {
            json = MAPPER.readTree(place.read());
        } catch (JsonProcessingException e) {
            throw place.refused("JSON, got: "
                    + String.valueOf(e.getOriginalMessage()).lines().findFirst().orElse("nothing"));
        } catch (StackOverflowError e) {
            throw place.refused("JSON, got one that is nested too deep");
        }
        boolean known = json != null
                && json.isObject()
                && (json.has("text")
                        || json.has("messages")
                        || json.has("prompt")
                                && (json.has("completion") || json.has("chosen") && json.has("rejected")));
        if (!known) {
            List<String> keys = new ArrayList<>();
            if (json != null) {
                json.fieldNames().forEachRemaining(keys::add);
            }
            throw place.refused(
                    "an object with text, with prompt and completion, with messages, or with prompt, chosen "
                            + "and rejected, got " + (json != null && json.isObject() ? "the keys " + keys : "none"));
        }
        int kinds = (json.has("text") ? 1 : 0) + (json.has("messages") ? 1 : 0) + (json.has("prompt") ? 1 : 0);
        if (kinds > 1) {
            throw place.refused("one of text, messages and prompt, got several");
        }
        return json;
    }

    private static String string(TextFile.Place place, JsonNode json, String key) throws IOException {
        JsonNode node = json.path(key);
        if (!node.isTextual()) {
            throw place.refused(key + " to be a text, got " + (node.isMissingNode() ? "none" : "another value"));
        }
        if (node.asText().isEmpty() && !key.equals("prompt")) {
            throw place.refused(key + " to have text, got an empty one");
        }
        return node.asText();
    }

    private Document text(TextFile.Place place, String text) throws IOException {
        int[] ids = withEnd(tokenizer.encode(text));
        if (ids.length < 2) {
            throw place.refused("a text of at least two tokens, got " + ids.length);
        }
        boolean[] learned = new boolean[ids.length];
        Arrays.fill(learned, true);
        return new Document(ids, learned, false);
    }

    private int[] withEnd(int[] ids) {
        if (tokenizer.end() < 0 || ids.length > 0 && ids[ids.length - 1] == tokenizer.end()) {
            return ids;
        }
        int[] ended = Arrays.copyOf(ids, ids.length + 1);
        ended[ids.length] = tokenizer.end();
        return ended;
    }

    private Document prompted(TextFile.Place place, String prompt, String answer) throws IOException {
        int[] ids = withEnd(tokenizer.encode(prompt + answer));
        boolean[] learned = new boolean[ids.length];
        Arrays.fill(learned, answersOnly ? common(tokenizer.encode(prompt), ids) : 0, ids.length, true);
        return whole(place, ids, learned);
    }

    private Document messages(TextFile.Place place, JsonNode node) throws IOException {
        List<ChatMessage> messages = list(place, node);
        String whole = tokenizer.chat(messages, false);
        int[] ids = tokenizer.encode(whole, false);
        boolean[] learned = new boolean[ids.length];
        Arrays.fill(learned, !answersOnly);
        for (int i = 0; i < messages.size(); i++) {
            if (messages.get(i).role().equals("assistant")) {
                int from = i == 0 ? 0 : common(encoded(messages.subList(0, i), true), ids);
                int to = i == messages.size() - 1 ? ids.length : end(messages, i, whole, ids);
                if (to <= from) {
                    throw place.refused("a chat template that writes message " + (i + 1)
                            + ", an answer, so that its end can be found; split the conversation after it");
                }
                Arrays.fill(learned, from, to, true);
            }
        }
        return whole(place, ids, learned);
    }

    /**
     * Where an answer before the last ends. Some templates write an answer in another way once a question follows it, such
     * as without what the model thought: there it ends with what the template writes behind any answer.
     */
    private int end(List<ChatMessage> messages, int answer, String whole, int[] ids) {
        List<ChatMessage> until = messages.subList(0, answer + 1);
        String last = tokenizer.chat(until, false);
        if (!whole.startsWith(last) && answer > 0) {
            int from = Arrays.mismatch(
                    tokenizer.chat(until.subList(0, answer), true).toCharArray(), whole.toCharArray());
            String content = messages.get(answer).content().strip();
            int prompt = from < 0 ? whole.length() : from;
            int at = whole.indexOf(content, prompt);
            int lastAt = last.lastIndexOf(content);
            if (at >= 0 && lastAt >= 0) {
                String behind = last.substring(lastAt + content.length());
                int to = at + content.length();
                if (whole.startsWith(behind, to)) {
                    return common(tokenizer.encode(whole.substring(0, to + behind.length()), false), ids);
                }
            }
        }
        return common(tokenizer.encode(last, false), ids);
    }

    private int[] encoded(List<ChatMessage> messages, boolean answerFollows) {
        return tokenizer.encode(tokenizer.chat(messages, answerFollows), false);
    }

    /** How many tokens at the beginning are the same: where the prompt ends and the answer begins. */
    private static int common(int[] prompt, int[] whole) {
        int different = Arrays.mismatch(prompt, whole);
        return different < 0 ? prompt.length : different;
    }

    private Document whole(TextFile.Place place, int[] ids, boolean[] learned) throws IOException {
        if (ids.length < 2 || ids.length - 1 > sequenceLength) {
            throw place.refused("2 to " + (sequenceLength + 1) + " tokens, what a sequenceLength of " + sequenceLength
                    + " has room for, got " + ids.length + "; a prompt and its answer can't be cut");
        }
        boolean any = false;
        for (int i = 1; i < learned.length; i++) {
            any |= learned[i];
        }
        if (!any) {
            throw place.refused("an answer to learn, got none");
        }
        return new Document(ids, learned, true);
    }
}
