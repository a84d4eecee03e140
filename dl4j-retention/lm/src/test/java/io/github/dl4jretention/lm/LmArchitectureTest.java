package io.github.dl4jretention.lm;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import io.github.dl4jretention.LocaleRule;
import org.junit.jupiter.api.Test;

/** Who may call whom in this module; the imports know nobody. */
class LmArchitectureTest {

    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("io.github.dl4jretention.lm");

    @Test
    void nothing_is_formatted_in_the_default_locale() {
        LocaleRule.check(CLASSES, "io.github.dl4jretention.lm..");
    }

    @Test
    void the_keras_import_stands_alone() {
        standsAlone("keras");
    }

    @Test
    void the_onnx_import_stands_alone() {
        standsAlone("onnx");
    }

    private static void standsAlone(String name) {
        String own = "io.github.dl4jretention.lm." + name;
        noClasses()
                .that()
                .resideInAPackage(own + "..")
                .should()
                .dependOnClassesThat(DescribedPredicate.describe(
                        "are other classes of this library",
                        type -> type.getPackageName().startsWith("io.github.dl4jretention")
                                && !type.getPackageName().startsWith(own)))
                .check(CLASSES);
    }
}
