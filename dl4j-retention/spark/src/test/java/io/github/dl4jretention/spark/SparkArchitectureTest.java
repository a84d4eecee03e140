package io.github.dl4jretention.spark;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import io.github.dl4jretention.LocaleRule;
import org.junit.jupiter.api.Test;

/** Dependencies point one way: from here to sweeps and the core. */
class SparkArchitectureTest {

    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("io.github.dl4jretention");

    @Test
    void nothing_is_formatted_in_the_default_locale() {
        LocaleRule.check(CLASSES, "io.github.dl4jretention.spark..");
    }

    @Test
    void sweeps_and_the_core_know_nothing_of_clusters() {
        noClasses()
                .that()
                .resideOutsideOfPackage("io.github.dl4jretention.spark..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(
                        "io.github.dl4jretention.spark..", "org.apache.spark..", "org.apache.hadoop..", "scala..")
                .check(CLASSES);
    }

    @Test
    void nothing_here_depends_on_language_models() {
        classes()
                .that()
                .resideInAPackage("io.github.dl4jretention.spark..")
                .should()
                .onlyDependOnClassesThat()
                .resideOutsideOfPackages("io.github.dl4jretention.lm..", "io.github.dl4jretention.samples..")
                .check(CLASSES);
    }
}
